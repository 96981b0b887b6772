import { Button, TextInput } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'

import { answerOf, api, rememberCsrf } from '../../api/client'
import { sessionQuery } from '../../api/queries'
import { Key } from '../../components/icons'
import { forgetInvite, invite as heldInvite } from '../../lib/invite'
import { createPasskey, passkeysWork } from '../../lib/passkeys'
import { AccessFrame } from './AccessFrame'
import { CeremonyError, NoPasskeys } from './SignInPage'
import classes from './access.module.css'

const maxName = 64

async function register(invite: string, name: string) {
  const { ceremony, options } = await answerOf(api.POST('/register/begin', { body: { invite, name } }))
  const credential = await createPasskey(options)
  return answerOf(api.POST('/register/finish', { body: { ceremony, credential } }))
}

export function RegisterPage() {
  const [invite] = useState(heldInvite)
  const [name, setName] = useState('')
  const [missing, setMissing] = useState(false)
  const client = useQueryClient()
  const navigate = useNavigate()
  const attempt = useMutation({
    mutationFn: (token: string) => register(token, name.trim()),
    onSuccess: (session) => {
      forgetInvite()
      rememberCsrf(session.csrf)
      client.setQueryData(sessionQuery.queryKey, session)
      void navigate({ to: '/decisions', replace: true })
    },
  })

  if (invite === undefined) {
    return (
      <AccessFrame title="Open your invitation link again">
        <p className={classes.lead}>This page needs the whole link that you were given. It works until you have created your passkey.</p>
        <p className={classes.note}>
          No link, or it has run out? An administrator makes a new one with <code>sallyport operator invite</code>.
        </p>
        <Link to="/decisions">I already have a passkey</Link>
      </AccessFrame>
    )
  }
  return (
    <AccessFrame title="Welcome to the console">
      <p className={classes.lead}>Say who you are and create a passkey. You will sign in with it from now on; there is no password.</p>
      <form
        className={classes.form}
        noValidate
        onSubmit={(event) => {
          event.preventDefault()
          if (attempt.isPending) return
          if (name.trim() === '') {
            setMissing(true)
            event.currentTarget.querySelector('input')?.focus()
            return
          }
          attempt.mutate(invite)
        }}
      >
        <TextInput
          label="Your name"
          description="Colleagues see it beside what you change."
          value={name}
          maxLength={maxName}
          autoComplete="name"
          size="md"
          error={missing ? 'Enter your name.' : undefined}
          onChange={(event) => {
            setName(event.currentTarget.value)
            setMissing(false)
          }}
        />
        <Button type="submit" size="md" fullWidth leftSection={<Key size={18} />} aria-disabled={attempt.isPending || undefined}>
          {attempt.isPending ? 'Waiting for your passkey…' : 'Create your passkey'}
        </Button>
      </form>
      {!passkeysWork() && <NoPasskeys />}
      {attempt.isError && <CeremonyError error={attempt.error} />}
      <p className={classes.note}>Your device asks for your fingerprint, face or screen lock. We never see it.</p>
    </AccessFrame>
  )
}
