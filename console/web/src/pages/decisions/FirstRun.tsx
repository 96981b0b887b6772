import { Loader } from '@mantine/core'

import { CopyButton } from '../../components/CopyButton'
import classes from './FirstRun.module.css'

const secret = '$SALLYPORT_SECRET'

const curl = `curl -u "${secret}:" ${location.origin}/v1/users/usr_1/actions/payment \\
  -H 'Content-Type: application/json' \\
  -d '{"custom": {"amount": 1250, "currency": "EUR"}, "ipAddress": "203.0.113.7"}'`

/** What stands here before the first action was tracked. It goes away by itself. */
export function FirstRun() {
  return (
    <div className={classes.page}>
      <div className={classes.column}>
        <h2 className={classes.title}>Waiting for the first action</h2>
        <p className={classes.lead}>
          Your backend tells Sallyport about an action before it carries it out. Try it now: put the server secret in place of{' '}
          <code>{secret}</code> and run this in a terminal. <code>sallyport secret show</code> prints the secret.
        </p>
        <div className={classes.code}>
          <pre tabIndex={0} aria-label="A command that tracks an action">{curl}</pre>
          <span className={classes.copy}>
            <CopyButton text={curl} name="the command" size="md" />
          </span>
        </div>
        <p className={classes.wait} role="status">
          <Loader size={14} /> The decision appears here within two seconds.
        </p>
      </div>
    </div>
  )
}
