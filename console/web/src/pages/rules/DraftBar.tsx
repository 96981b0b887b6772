import { Button, Menu } from '@mantine/core'

import { Check as CheckMark, ChevronDown, Undo } from '../../components/icons'
import { count } from '../../lib/format'
import { placeName, type Place } from '../../rules/problems'
import type { RulesSearch } from './search'
import type { Check } from './useCheck'
import type { DraftState } from './useDraft'
import classes from './DraftBar.module.css'

interface Props {
  state: DraftState
  check: Check
  onPlace: (search: RulesSearch) => void
  approvalRequired: boolean
  onSave: () => void
  onReview: () => void
}

export const searchOf = (place: Place): RulesSearch =>
  place.field !== undefined ? { view: 'fields' } : { ...(place.action === undefined ? {} : { action: place.action }), ...(place.rule === undefined ? {} : { rule: place.rule }) }

/** Says that something is not in force yet, on every view of the rules. */
export function DraftBar({ state, check, approvalRequired, onPlace, onSave, onReview }: Props) {
  const { changes, canUndo, dispatch, draft } = state
  const bad = check.problems.length
  return (
    <div className={classes.bar} role="region" aria-label="Unpublished changes">
      <span className={classes.text}>
        <strong>{draft.source === undefined ? count(changes, 'unpublished change') : `Draft “${draft.source.title}”: ${count(changes, 'change')}`}</strong>
        {bad > 0 ?
          <Menu position="top-start" shadow="md" width={360}>
            <Menu.Target>
              <button type="button" className={classes.bad}>
                {count(bad, 'problem')}
                <ChevronDown size={13} />
              </button>
            </Menu.Target>
            <Menu.Dropdown>
              {check.problems.map((problem) => (
                <Menu.Item key={`${problem.field}:${problem.line}:${problem.column}:${problem.message}`} onClick={() => onPlace(searchOf(problem.place))}>
                  <b>{placeName(problem.place, draft)}</b>
                  <br />
                  {problem.message}
                </Menu.Item>
              ))}
            </Menu.Dropdown>
          </Menu>
        : <span className={classes.note}>{check.error !== null ? 'cannot be checked now' : check.isCurrent ? 'no problems' : 'checking…'}</span>}
      </span>
      <Button size="xs" variant="subtle" color="gray" leftSection={<Undo size={14} />} disabled={!canUndo} onClick={() => dispatch({ type: 'undo' })}>
        Undo
      </Button>
      <Button size="xs" variant="subtle" color="gray" onClick={() => dispatch({ type: 'discard' })}>
        Discard
      </Button>
      {approvalRequired || draft.source !== undefined ?
        <Button size="xs" onClick={onSave}>
          {draft.source === undefined ? 'Save as draft' : 'Save the draft'}
        </Button>
      : <span className={classes.pair}>
          <Button size="xs" variant="default" onClick={onSave}>
            Save as draft
          </Button>
          <Button size="xs" onClick={onReview}>
            Review and publish
          </Button>
        </span>
      }
    </div>
  )
}

/** Takes the bar's place once the changes are in force. */
export function PublishedBar({ number, onClose }: { number: number; onClose: () => void }) {
  return (
    <div className={classes.bar} role="status">
      <span className={classes.text}>
        <CheckMark size={17} className={classes.good} />
        <span>
          <strong>Set {number} is in force.</strong> Every decision from now on is made with it.
        </span>
      </span>
      <Button size="xs" variant="default" onClick={onClose}>
        Done
      </Button>
    </div>
  )
}
