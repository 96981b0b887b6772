import { Button, Group } from '@mantine/core'

import type { RuleSet } from '../../api/types'
import { Notice } from '../../components/Notice'
import { useAuthorName } from '../../lib/author'
import type { DraftState } from './useDraft'
import classes from './PublishDialog.module.css'

interface Props {
  inForce: RuleSet
  state: DraftState
  onClose: () => void
  onKeep: () => void
}

/** Asks what to do with changes to a set that is not in force any more. */
export function Overtaken({ inForce, state: { draft, dispatch }, onClose, onKeep }: Props) {
  const authorName = useAuthorName()
  return (
    <div className={classes.content}>
      <Notice tone="warning" title="Somebody was faster.">
        {authorName(inForce.author)} published set {inForce.number} while set {draft.base} was edited here
        {inForce.note ? `: “${inForce.note}”` : ''}. Nothing of yours is lost.
      </Notice>
      <Group gap="xs" justify="flex-end">
        <Button
          variant="default"
          onClick={() => {
            dispatch({ type: 'load', base: inForce.number, definition: inForce.definition })
            onClose()
          }}
        >
          Drop my changes, go on with set {inForce.number}
        </Button>
        <Button
          onClick={() => {
            onKeep()
            dispatch({ type: 'rebase', base: inForce.number, definition: inForce.definition })
          }}
        >
          Keep my version and compare it with set {inForce.number}
        </Button>
      </Group>
    </div>
  )
}
