import type { MouseEvent, ReactNode } from 'react'

import type { Decision } from '../../api/types'
import { Ghost } from '../../components/icons'
import { Outcome, StateNote } from '../../components/Outcome'
import { Ago, Clock } from '../../components/Time'
import { agentName, count, countryName, micros } from '../../lib/format'
import { maskAddress } from '../../lib/mask'
import { usePersonalShown } from '../../lib/personal'
import type { ChangeFilters } from './FilterBar'
import { shortWhy } from './sentences'
import classes from './DecisionList.module.css'

interface Props {
  decision: Decision
  onFilter: ChangeFilters
}

/** One line of the table. Values that can be filtered by are buttons that the keyboard reaches through the panel. */
export function DecisionRow({ decision, onFilter }: Props) {
  const personal = usePersonalShown()
  const agent = decision.userAgent === undefined ? '' : agentName(decision.userAgent)
  return (
    <>
      <span role="gridcell" className={classes.time}>
        <Clock time={decision.time} />
      </span>
      <span role="gridcell" className={classes.outcome}>
        <Filter label={`Only ${decision.outcome.toLowerCase()}`} onClick={() => onFilter({ outcome: decision.outcome })}>
          <Outcome value={decision.outcome} />
        </Filter>
        <StateNote state={decision.state} outcome={decision.outcome} />
      </span>
      <span role="gridcell">
        <Filter label={`Only the action ${decision.action}`} onClick={() => onFilter({ action: decision.action })}>
          {decision.action}
        </Filter>
      </span>
      <span role="gridcell" className="mono">
        <Filter label={`Only the user ${decision.user}`} onClick={() => onFilter({ user: decision.user })}>
          {decision.user}
        </Filter>
      </span>
      <span role="gridcell" className={classes.why} data-reason={decision.reason}>
        <span className="cut" title={decision.ruleName ?? decision.rule}>{shortWhy(decision)}</span>
        <Shadows decision={decision} />
      </span>
      <span role="gridcell" data-extra className={classes.from}>
        {decision.country !== undefined && decision.country !== '' && <abbr title={countryName(decision.country)}>{decision.country}</abbr>}
        {decision.ip !== undefined && decision.ip !== '' && <span className="mono cut">{personal ? decision.ip : maskAddress(decision.ip)}</span>}
      </span>
      <span role="gridcell" data-extra className="cut dim" title={personal ? decision.userAgent : undefined}>
        {agent}
      </span>
      <span role="gridcell" data-extra className={`${classes.right} dim`}>
        {micros(decision.micros)}
      </span>
    </>
  )
}

/** The same on a phone: two lines. */
export function DecisionCard({ decision }: Props) {
  return (
    <>
      <span role="gridcell" className={classes.cardTop}>
        <Outcome value={decision.outcome} />
        <StateNote state={decision.state} outcome={decision.outcome} />
        <span className={classes.cardTime}>
          <Ago time={decision.time} />
        </span>
      </span>
      <span role="gridcell" className={classes.cardLine}>
        <b>{decision.action}</b>
        <span className="mono cut">{decision.user}</span>
        <span className={`${classes.cardWhy} cut dim`}>{shortWhy(decision)}</span>
      </span>
    </>
  )
}

function Shadows({ decision }: { decision: Decision }) {
  const shadows = decision.matches.filter(({ mode, result }) => mode === 'shadow' && result === 'matched')
  if (shadows.length === 0) return null
  const title = `${count(shadows.length, 'shadow rule')} matched: ${shadows.map(({ name }) => name).join(', ')}`
  return (
    <span className={classes.shadows} title={title} aria-label={title}>
      <Ghost size={13} />
      {shadows.length}
    </span>
  )
}

function Filter({ label, onClick, children }: { label: string; onClick: () => void; children: ReactNode }) {
  return (
    <button
      type="button"
      tabIndex={-1}
      className={classes.filter}
      title={label}
      onClick={(event: MouseEvent) => {
        event.stopPropagation()
        onClick()
      }}
    >
      {children}
    </button>
  )
}
