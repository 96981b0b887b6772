import { compareWords } from '../../lib/compare'
import { outcomeLabels } from '../../lib/words'
import type { Entry, Group, ValueChange } from '../../rules/diff'
import classes from './DiffView.module.css'

const verbs: Readonly<Record<Entry['kind'], string>> = { added: 'Added', removed: 'Removed', changed: 'Changed', moved: 'Moved' }

const partTitles: Readonly<Record<Group['part'], string>> = { rules: '', fields: 'Custom fields', metrics: 'Metrics', lists: 'Lists', tests: 'Tests' }

/** The differences of two sets, below the action they belong to. Whole, they scroll with the page. */
export function DiffView({ groups, whole = false }: { groups: readonly Group[]; whole?: boolean }) {
  return (
    <div className={classes.groups} data-whole={whole || undefined}>
      {groups.map((group) => (
        <section key={group.action ?? `#${group.part}`} className={classes.group}>
          <h3 className={classes.title}>{group.action === null ? partTitles[group.part] : group.action === '' ? 'Other actions' : group.action}</h3>
          <ul className={classes.entries}>
            {group.entries.map((entry) => (
              <li key={`${entry.subject}:${entry.kind}:${entry.id}`} className={classes.entry}>
                <div className={classes.line}>
                  <span className={classes.kind} data-kind={entry.kind}>
                    {verbs[entry.kind]}
                  </span>
                  <span className={classes.name}>
                    {entry.subject === 'action' ?
                      entry.kind === 'changed' ?
                        'Settings of the action'
                      : 'The action'
                    : entry.subject === 'field' ?
                      entry.id
                    : entry.name || entry.id}
                  </span>
                  {entry.from !== undefined && entry.to !== undefined && (
                    <span className={classes.moved}>
                      from place {entry.from} to {entry.to}
                    </span>
                  )}
                </div>
                {entry.values.length > 0 && (
                  <dl className={classes.values}>
                    {entry.values.map((change) => (
                      <div key={change.label} className={classes.value}>
                        <dt>{change.label}</dt>
                        <dd>
                          <Difference change={change} />
                        </dd>
                      </div>
                    ))}
                  </dl>
                )}
              </li>
            ))}
          </ul>
        </section>
      ))}
    </div>
  )
}

const longTexts = new Set(['Condition', 'Description', 'Text to approve', 'Name'])

const word = (value: string): string => (value in outcomeLabels ? outcomeLabels[value as keyof typeof outcomeLabels] : value)

function Difference({ change }: { change: ValueChange }) {
  if (change.label === 'Condition' || (longTexts.has(change.label) && change.before !== '' && change.after !== '')) {
    return (
      <span className={change.label === 'Condition' ? classes.code : undefined}>
        {compareWords(change.before, change.after).map((piece, i) =>
          piece.kind === 'removed' ? <del key={i}>{piece.text}</del>
          : piece.kind === 'added' ? <ins key={i}>{piece.text}</ins>
          : <span key={i}>{piece.text}</span>,
        )}
      </span>
    )
  }
  return (
    <>
      {change.before !== '' && <del>{word(change.before)}</del>}
      {change.before !== '' && change.after !== '' && ' '}
      {change.after !== '' && <ins>{word(change.after)}</ins>}
    </>
  )
}
