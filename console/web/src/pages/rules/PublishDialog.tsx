import { Button, Group, Modal, Textarea } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'

import { answerOf, api, ApiError } from '../../api/client'
import { draftsQuery, rulesQuery } from '../../api/queries'
import type { RuleSet, RuleSetHead } from '../../api/types'
import { ErrorNotice, Notice } from '../../components/Notice'
import { count } from '../../lib/format'
import { definitionOf } from '../../rules/draft'
import { placeName } from '../../rules/problems'
import { DiffView } from './DiffView'
import type { Check } from './useCheck'
import { takeOver } from './drafts'
import { Overtaken } from './Overtaken'
import type { DraftState } from './useDraft'
import classes from './PublishDialog.module.css'

const maxNote = 500

interface Props {
  opened: boolean
  onClose: () => void
  inForce: RuleSet
  state: DraftState
  check: Check
  onPublished: (head: RuleSetHead) => void
}

/** What publishing would change, why, and the button that does it. */
export function PublishDialog(props: Props) {
  return (
    <Modal opened={props.opened} onClose={props.onClose} title={`Publish over set ${props.state.draft.base}`} size={760} closeButtonProps={{ 'aria-label': 'Close' }}>
      {props.opened && <Content {...props} />}
    </Modal>
  )
}

function Content({ onClose, inForce, state, check, onPublished }: Props) {
  const { draft, groups, changes, dispatch } = state
  const [note, setNote] = useState('')
  const [missing, setMissing] = useState(false)
  const client = useQueryClient()
  const publish = useMutation({
    mutationFn: () => {
      const definition = definitionOf(draft)
      return answerOf(api.POST('/rules/publish', { body: { base: draft.base, note: note.trim(), definition } })).then((head) => ({ head, definition }))
    },
    onSuccess: ({ head, definition }) => {
      takeOver(client, head, definition)
      dispatch({ type: 'load', base: head.number, definition })
      onPublished(head)
    },
    onError: (error) => {
      if (error instanceof ApiError && error.status === 409) {
        void client.invalidateQueries({ queryKey: rulesQuery.queryKey, exact: true })
        void client.invalidateQueries({ queryKey: draftsQuery.queryKey })
      }
    },
  })
  const conflict = publish.error instanceof ApiError && publish.error.code === 'conflict'
  const overtaken = inForce.number !== draft.base

  if (overtaken) return <Overtaken inForce={inForce} state={state} onClose={onClose} onKeep={publish.reset} />

  return (
    <form
      className={classes.content}
      noValidate
      onSubmit={(event) => {
        event.preventDefault()
        if (note.trim() === '') {
          setMissing(true)
          event.currentTarget.querySelector('textarea')?.focus()
        } else if (!publish.isPending) publish.mutate()
      }}
    >
      {check.problems.length > 0 && (
        <Notice tone="bad" title={`${count(check.problems.length, 'problem')} to mend first.`}>
          <ul className={classes.problems}>
            {check.problems.map((problem) => (
              <li key={`${problem.field}:${problem.line}:${problem.column}:${problem.message}`}>
                <b>{placeName(problem.place, draft)}</b>: {problem.message}
              </li>
            ))}
          </ul>
        </Notice>
      )}
      <p className={classes.lead}>{changes === 0 ? 'Nothing differs from the set in force.' : `${count(changes, 'change')} to set ${draft.base}, in force as soon as you publish:`}</p>
      <DiffView groups={groups} />
      <Textarea
        label="Why"
        description="Colleagues find this note in the history."
        placeholder="Payments to new payees were abused last week"
        rows={2}
        resize="vertical"
        maxLength={maxNote}
        value={note}
        error={missing ? 'Say in a few words why.' : undefined}
        data-autofocus
        onChange={(event) => {
          setNote(event.currentTarget.value)
          setMissing(false)
        }}
      />
      {publish.isError && !conflict && <ErrorNotice title="The set was not published." error={publish.error} />}
      {publish.error instanceof ApiError && publish.error.details.length > 0 && !conflict && (
        <ul className={classes.problems}>
          {publish.error.details.map((problem) => (
            <li key={`${problem.field}:${problem.message}`}>{problem.message}</li>
          ))}
        </ul>
      )}
      <Group gap="xs" justify="flex-end">
        <Button variant="default" onClick={onClose}>
          Go on editing
        </Button>
        <Button type="submit" loading={publish.isPending} disabled={check.problems.length > 0 || changes === 0}>
          Publish set {draft.base + 1}
        </Button>
      </Group>
    </form>
  )
}
