import { Button, Group, Modal, TextInput } from '@mantine/core'
import { useState } from 'react'

import { ApiError } from '../../api/client'
import type { RuleSet, SavedDraft } from '../../api/types'
import { ErrorNotice, Notice } from '../../components/Notice'
import { count } from '../../lib/format'
import { definitionOf } from '../../rules/draft'
import { DiffView } from './DiffView'
import { useSaveDraft } from './drafts'
import { Overtaken } from './Overtaken'
import type { Check } from './useCheck'
import type { DraftState } from './useDraft'
import classes from './PublishDialog.module.css'

// The server counts bytes, 200 at most.
const maxTitle = 100

interface Props {
  opened: boolean
  onClose: () => void
  inForce: RuleSet
  state: DraftState
  check: Check
  approvalRequired: boolean
  onSaved: (head: SavedDraft) => void
}

/** What a draft would hold, and the button that saves it for colleagues. */
export function SaveDialog(props: Props) {
  const { source } = props.state.draft
  return (
    <Modal
      opened={props.opened}
      onClose={props.onClose}
      title={source === undefined ? 'Save as a draft' : `Save revision ${source.revision + 1} of the draft`}
      size={760}
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      {props.opened && <Content {...props} />}
    </Modal>
  )
}

function Content({ onClose, inForce, state, check, approvalRequired, onSaved }: Props) {
  const { draft, groups, changes } = state
  const [title, setTitle] = useState(draft.source?.title ?? '')
  const [missing, setMissing] = useState(false)
  const save = useSaveDraft(onSaved)
  if (inForce.number !== draft.base) return <Overtaken inForce={inForce} state={state} onClose={onClose} onKeep={save.reset} />

  const send = (source: typeof draft.source) => save.mutate({ source, title: title.trim(), base: draft.base, definition: definitionOf(draft) })
  const lost = draft.source !== undefined && save.error instanceof ApiError && [404, 409].includes(save.error.status)
  return (
    <form
      className={classes.content}
      noValidate
      onSubmit={(event) => {
        event.preventDefault()
        if (title.trim() === '') {
          setMissing(true)
          event.currentTarget.querySelector('input')?.focus()
        } else if (!save.isPending) send(draft.source)
      }}
    >
      <p className={classes.lead}>
        Colleagues find it under Drafts.{' '}
        {approvalRequired && 'Somebody who did not work on it approves it, then it can be published. '}
        {draft.source !== undefined && 'Approvals of earlier revisions no longer count. '}
      </p>
      {check.problems.length > 0 && (
        <Notice tone="warning" title={`It has ${count(check.problems.length, 'problem')}.`}>
          It can be saved, but not published before they are mended.
        </Notice>
      )}
      <TextInput
        label="Title"
        description="What changes, in a few words."
        placeholder="Ask for more payments to new payees"
        maxLength={maxTitle}
        value={title}
        error={missing ? 'Say in a few words what changes.' : undefined}
        data-autofocus
        onChange={(event) => {
          setTitle(event.currentTarget.value)
          setMissing(false)
        }}
      />
      <p className={classes.lead}>{changes === 0 ? 'Nothing differs from the set in force.' : `${count(changes, 'change')} to set ${draft.base}:`}</p>
      <DiffView groups={groups} />
      {lost ?
        <Notice
          tone="warning"
          title="Somebody was faster."
          action={
            <Button size="compact-sm" variant="default" onClick={() => send(undefined)}>
              Save mine as a new draft
            </Button>
          }
        >
          The draft was saved, published or deleted while you were editing it.
        </Notice>
      : save.isError && <ErrorNotice title="The draft was not saved." error={save.error} />}
      <Group gap="xs" justify="flex-end">
        <Button variant="default" onClick={onClose}>
          Go on editing
        </Button>
        <Button type="submit" loading={save.isPending} disabled={changes === 0 && draft.source === undefined}>
          Save draft
        </Button>
      </Group>
    </form>
  )
}
