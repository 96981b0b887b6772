import type { Step } from '../../api/types'
import { StateNote } from '../../components/Outcome'
import { between, fullTime } from '../../lib/format'
import classes from './Timeline.module.css'

const tones: Readonly<Record<string, string>> = {
  'ceremony.succeeded': 'good',
  'ceremony.failed': 'bad',
  'ceremony.denied': 'bad',
  'ceremony.abandoned': 'bad',
}

/** Every event about the action, oldest first, with the time since the one before. */
export function Timeline({ steps }: { steps: readonly Step[] }) {
  return (
    <ol className={classes.list}>
      {steps.map((step, i) => {
        const before = steps[i - 1]
        return (
          <li key={step.position} className={classes.step} data-tone={tones[step.kind]}>
            <span className={classes.time} title={fullTime(step.time)}>
              {before === undefined ? <time dateTime={step.time}>{fullTime(step.time).replace(/\s\(.*$/, '').replace(/^.*, /, '')}</time> : between(before.time, step.time)}
            </span>
            <div className={classes.body}>
              <span className={classes.summary}>{step.summary}</span>
              {step.state !== undefined && <StateNote state={step.state} />}
              <More step={step} />
            </div>
          </li>
        )
      })}
    </ol>
  )
}

// The words of the audit trail, for those who look for them.
function More({ step }: { step: Step }) {
  const name = step.reason ? `${step.kind}, ${step.reason}` : step.kind
  return (
    <details className={classes.more}>
      <summary>{name}</summary>
      <p className={classes.at}>
        {fullTime(step.time)}, <code>{step.position}</code>
      </p>
      {step.data !== undefined && <pre tabIndex={0}>{JSON.stringify(step.data, null, 2)}</pre>}
    </details>
  )
}
