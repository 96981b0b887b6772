import type { Outcome as OutcomeName, State } from '../api/types'
import { outcomeLabels, stateWords } from '../lib/words'
import * as Icons from './icons'
import classes from './Outcome.module.css'

const icons = { ALLOW: Icons.Check, CHALLENGE: Icons.Key, REVIEW: Icons.Eye, BLOCK: Icons.Stop } as const

/** An outcome: always colour, sign and word together. */
export function Outcome({ value, large = false }: { value: OutcomeName; large?: boolean }) {
  const Icon = icons[value]
  return (
    <span className={classes.outcome} data-outcome={value} data-large={large || undefined}>
      <Icon size={large ? 17 : 13} strokeWidth={2.4} />
      <span>{outcomeLabels[value]}</span>
    </span>
  )
}

/** Where the action stands; nothing for states that say no more than the outcome beside it. */
export function StateNote({ state, outcome }: { state: State; outcome?: OutcomeName }) {
  const { label, sentence, progress } = stateWords(state, outcome)
  if (label === '') return null
  return (
    <span className={classes.state} data-progress={progress} title={sentence}>
      {label}
    </span>
  )
}
