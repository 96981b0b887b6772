import { Link } from '@tanstack/react-router'

import type { Decision, Match } from '../../api/types'
import { Ghost } from '../../components/icons'
import { Outcome } from '../../components/Outcome'
import classes from './MatchTable.module.css'

const verdicts: Readonly<Record<Match['result'], string>> = {
  matched: 'matched',
  unknown: 'a value it needs is not known',
  error: 'failed',
}

/** Every rule that did not simply end false, in the order of the set. */
export function MatchTable({ matches, decision }: { matches: readonly Match[]; decision: Decision }) {
  if (matches.length === 0) return <p className={classes.none}>No rule matched, failed or lacked a value.</p>
  return (
    <ul className={classes.list}>
      {matches.map((match) => (
        <li key={match.id} className={classes.match} data-decides={match.decides || undefined}>
          <Outcome value={match.outcome} />
          <div className={classes.text}>
            <Link to="/rules" search={{ action: decision.action, rule: match.id }} className={classes.name}>
              {match.name || match.id}
            </Link>
            <span className={classes.verdict} data-result={match.result}>
              {verdicts[match.result]}
              {match.decides && <b> and decided</b>}
            </span>
            {match.mode === 'shadow' && (
              <span className={classes.tag}>
                <Ghost size={12} /> shadow, does not count
              </span>
            )}
            {match.error !== undefined && match.error !== '' && <code className={classes.error}>{match.error}</code>}
          </div>
        </li>
      ))}
    </ul>
  )
}
