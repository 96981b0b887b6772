import { Button } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'

import { answerOf, api, rememberCsrf } from '../../api/client'
import { sessionQuery } from '../../api/queries'
import { Key } from '../../components/icons'
import { ErrorNotice, Notice } from '../../components/Notice'
import { ceremonyMessage, passkeysWork, askPasskey } from '../../lib/passkeys'
import { AccessFrame } from './AccessFrame'
import classes from './access.module.css'

async function signIn() {
  const { ceremony, options } = await answerOf(api.POST('/signin/begin'))
  const credential = await askPasskey(options)
  return answerOf(api.POST('/signin/finish', { body: { ceremony, credential } }))
}

export function SignInPage() {
  const client = useQueryClient()
  const attempt = useMutation({
    mutationFn: signIn,
    onSuccess: (session) => {
      rememberCsrf(session.csrf)
      client.setQueryData(sessionQuery.queryKey, session)
    },
  })
  return (
    <AccessFrame title="Sign in to the console">
      <Button size="md" fullWidth leftSection={<Key size={18} />} onClick={() => !attempt.isPending && attempt.mutate()} aria-disabled={attempt.isPending || undefined}>
        {attempt.isPending ? 'Waiting for your passkey…' : 'Sign in with a passkey'}
      </Button>
      {!passkeysWork() && <NoPasskeys />}
      {attempt.isError && <CeremonyError error={attempt.error} />}
      <p className={classes.note}>
        Your fingerprint, face or screen lock stays on your device. If you have no passkey here yet, ask an administrator for an invitation link.
      </p>
    </AccessFrame>
  )
}

export function CeremonyError({ error }: { error: unknown }) {
  const message = ceremonyMessage(error)
  return message === undefined ? <ErrorNotice error={error} /> : <Notice tone="bad">{message}</Notice>
}

export const NoPasskeys = () => (
  <Notice tone="warning">
    Passkeys do not work here. Use a current version of Chrome, Edge, Firefox or Safari, over https or on localhost.
  </Notice>
)
