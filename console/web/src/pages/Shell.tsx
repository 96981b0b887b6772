import { ActionIcon, Button, Loader, Menu, Tooltip, useMantineColorScheme } from '@mantine/core'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, Outlet, useNavigate } from '@tanstack/react-router'
import { useEffect, useState } from 'react'

import { answerOf, api } from '../api/client'
import { sessionQuery } from '../api/queries'
import type { Session } from '../api/types'
import * as Icons from '../components/icons'
import { ErrorNotice } from '../components/Notice'
import { showPersonal, usePersonalShown } from '../lib/personal'
import { listenToKeys, useShortcuts } from '../lib/shortcuts'
import { AccessFrame } from './access/AccessFrame'
import { SignInPage } from './access/SignInPage'
import { ShortcutHelp } from './ShortcutHelp'
import { StatusIndicator } from './StatusIndicator'
import classes from './Shell.module.css'

/** The frame of every page for people who are signed in, and the sign-in page for all others. */
export function Shell() {
  const session = useQuery(sessionQuery)
  if (session.isPending) {
    return (
      <div className={classes.waiting}>
        <Loader size="sm" aria-label="Loading" />
      </div>
    )
  }
  // A session that was there stays on screen while the server is silent; the pages say so themselves.
  if (session.data === undefined) {
    return (
      <AccessFrame title="The console cannot start">
        <ErrorNotice error={session.error} onRetry={() => void session.refetch()} />
      </AccessFrame>
    )
  }
  return session.data === null ? <SignInPage /> : <Frame session={session.data} />
}

function Frame({ session }: { session: Session }) {
  const navigate = useNavigate()
  const [help, setHelp] = useState(false)
  const personal = usePersonalShown()
  useEffect(listenToKeys, [])
  useShortcuts([
    { keys: 'g d', label: 'Go to decisions', group: 'Everywhere', run: () => void navigate({ to: '/decisions' }) },
    { keys: 'g r', label: 'Go to rules', group: 'Everywhere', run: () => void navigate({ to: '/rules' }) },
    { keys: 'p', label: 'Show or hide personal data', group: 'Everywhere', run: () => showPersonal(!personal) },
    { keys: '?', label: 'Show the keys', group: 'Everywhere', run: () => setHelp(true) },
  ])
  return (
    <div className={classes.frame}>
      <a className={classes.skip} href="#main" onClick={(event) => {
        event.preventDefault()
        document.getElementById('main')?.focus()
      }}>
        Skip to the content
      </a>
      <header className={classes.header}>
        <Link to="/decisions" className={classes.brand} aria-label="Sallyport, go to decisions">
          <Icons.Gate />
          <span className={classes.name}>Sallyport</span>
        </Link>
        <nav aria-label="Main" className={classes.nav}>
          <Link to="/decisions" className={classes.tab} activeProps={{ 'aria-current': 'page' }} activeOptions={{ includeSearch: false }}>
            Decisions
          </Link>
          <Link to="/rules" className={classes.tab} activeProps={{ 'aria-current': 'page' }} activeOptions={{ includeSearch: false }}>
            Rules
          </Link>
        </nav>
        <div className={classes.tools}>
          <StatusIndicator />
          <PersonalSwitch />
          <span className={classes.wide}>
            <SchemeSwitch />
          </span>
          <span className={classes.wide}>
            <Tooltip label="Keys">
              <ActionIcon aria-label="Show the keys" onClick={() => setHelp(true)}>
                <Icons.Help />
              </ActionIcon>
            </Tooltip>
          </span>
          <UserMenu session={session} onHelp={() => setHelp(true)} />
        </div>
      </header>
      <main id="main" tabIndex={-1} className={classes.main}>
        <Outlet />
      </main>
      <ShortcutHelp opened={help} onClose={() => setHelp(false)} />
    </div>
  )
}

function PersonalSwitch() {
  const shown = usePersonalShown()
  const label = shown ? 'Hide personal data' : 'Show personal data'
  return (
    <Tooltip label={label}>
      <ActionIcon aria-label={label} aria-pressed={shown} onClick={() => showPersonal(!shown)} data-on={shown || undefined} className={classes.toggle}>
        {shown ? <Icons.Eye /> : <Icons.EyeOff />}
      </ActionIcon>
    </Tooltip>
  )
}

function useScheme() {
  const { colorScheme, setColorScheme } = useMantineColorScheme()
  const system = typeof matchMedia === 'function' && matchMedia('(prefers-color-scheme: dark)').matches
  const dark = colorScheme === 'dark' || (colorScheme === 'auto' && system)
  return { dark, toggle: () => setColorScheme(dark ? 'light' : 'dark') }
}

function SchemeSwitch() {
  const { dark, toggle } = useScheme()
  const label = dark ? 'Use light colours' : 'Use dark colours'
  return (
    <Tooltip label={label}>
      <ActionIcon aria-label={label} onClick={toggle}>
        {dark ? <Icons.Sun /> : <Icons.Moon />}
      </ActionIcon>
    </Tooltip>
  )
}

function UserMenu({ session, onHelp }: { session: Session; onHelp: () => void }) {
  const { dark, toggle } = useScheme()
  const client = useQueryClient()
  const signOut = useMutation({
    mutationFn: () => answerOf(api.POST('/signout')),
    onSuccess: () => {
      client.setQueryData(sessionQuery.queryKey, null)
      // Nothing that one person saw may flash up for the next one.
      client.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== sessionQuery.queryKey[0] })
      showPersonal(false)
    },
  })
  const { name, role } = session.operator
  return (
    <Menu position="bottom-end" width={220} shadow="md">
      <Menu.Target>
        <Button variant="subtle" color="gray" size="compact-sm" className={classes.user} aria-label={`Your account: ${name}`}>
          <Icons.Person size={17} />
          <span className={classes.userName}>{name}</span>
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          {name}, {role}
        </Menu.Label>
        <Menu.Item className={classes.narrow} leftSection={dark ? <Icons.Sun /> : <Icons.Moon />} onClick={toggle}>
          {dark ? 'Use light colours' : 'Use dark colours'}
        </Menu.Item>
        <Menu.Item leftSection={<Icons.Help />} onClick={onHelp}>
          Keys
        </Menu.Item>
        <Menu.Divider />
        <Menu.Item leftSection={<Icons.Out />} onClick={() => signOut.mutate()} disabled={signOut.isPending} closeMenuOnClick={false}>
          {signOut.isError ? 'Could not sign out, try again' : 'Sign out'}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  )
}
