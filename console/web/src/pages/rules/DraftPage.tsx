import { Button, Loader, SegmentedControl, Textarea } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useMemo, useState } from 'react'

import { draftCheckQuery, draftQuery, draftsQuery, draftTestQuery, versionQuery } from '../../api/queries'
import { ApiError } from '../../api/client'
import type { Definition, RuleSet, RuleSetHead, SavedDraftDetail, Session } from '../../api/types'
import { ConfirmDialog } from '../../components/ConfirmDialog'
import { Blank, ErrorNotice, Notice } from '../../components/Notice'
import { Ago } from '../../components/Time'
import { useAuthorName } from '../../lib/author'
import { count } from '../../lib/format'
import { countChanges, diff } from '../../rules/diff'
import { draftOf } from '../../rules/draft'
import { approving, mayChange, publishing, standing, standingWords, type Situation } from '../../rules/steps'
import { DiffView } from './DiffView'
import { Findings, Row, TestResults, Waiting } from './DraftChecks'
import { useApproveDraft, useDeleteDraft, usePublishDraft } from './drafts'
import { Standing } from './DraftsView'
import { SetReader } from './SetReader'
import action from './ActionView.module.css'
import bar from './DraftBar.module.css'
import rules from './rules.module.css'
import classes from './Drafts.module.css'

interface Props {
  id: string
  inForce: RuleSet
  operator: Session['operator']
  onEdit: (draft: SavedDraftDetail, original: Definition) => void
  onPublished: (head: RuleSetHead) => void
  onDeleted: () => void
}

/** One draft: what it changes, what speaks against it, who stands behind it, and the next step. */
export function DraftPage(props: Props) {
  const detail = useQuery(draftQuery(props.id))
  if (detail.data !== undefined) return <Content {...props} draft={detail.data} onReload={() => void detail.refetch()} />
  const gone = detail.error instanceof ApiError && [400, 404].includes(detail.error.status)
  return (
    <div className={rules.column}>
      <BackLink />
      {detail.isPending && <Loader size="sm" aria-label="Loading the draft" />}
      {gone && (
        <Blank heading="h1" title="There is no such draft">
          <span>It was published or deleted, or the link is not whole.</span>
        </Blank>
      )}
      {detail.isError && !gone && <ErrorNotice title="The draft could not be loaded." error={detail.error} onRetry={() => void detail.refetch()} />}
    </div>
  )
}

const BackLink = () => (
  <Link to="/rules" search={{ view: 'drafts' }} className={classes.back}>
    All drafts
  </Link>
)

function Content({ draft: read, inForce, operator, onEdit, onPublished, onDeleted, onReload }: Props & { draft: SavedDraftDetail; onReload: () => void }) {
  const list = useQuery(draftsQuery)
  const authorName = useAuthorName()
  const [view, setView] = useState('changes')

  // The list is asked for again and again: it tells of approvals, of later revisions and of the draft's end.
  const head = list.data?.drafts.find(({ id }) => id === read.id)
  const gone = list.data !== undefined && head === undefined && !list.isFetching && !list.isError
  const newer = head !== undefined && head.revision !== read.revision ? head : undefined
  const draft: SavedDraftDetail = head !== undefined && newer === undefined ? { ...read, ...head } : read

  const check = useQuery(draftCheckQuery(draft.id, draft.revision))
  const tested = useQuery(draftTestQuery(draft.id, draft.revision))
  const set = useMemo(() => draftOf(read.base, read.definition), [read])

  const fromCurrent = draft.base === inForce.number
  const older = useQuery({ ...versionQuery(draft.base), enabled: !fromCurrent })
  const original = fromCurrent ? inForce.definition : older.data?.definition
  const groups = useMemo(() => (original === undefined ? undefined : diff(original, read.definition)), [original, read])

  const situation: Situation = {
    draft,
    current: inForce.number,
    approvalRequired: list.data?.approvalRequired ?? true,
    operator,
    problems: check.data?.problems.length,
    failedTests: tested.data?.tests.filter(({ passed }) => !passed).length,
  }
  const state = standing(draft, inForce.number, situation.approvalRequired)
  return (
    <>
      <div className={rules.column}>
        <BackLink />
        <header className={action.header}>
          <div className={action.titles}>
            <h1 className={action.title}>{draft.title}</h1>
            <p className={action.lead}>
              {authorName(draft.author)}, <Ago time={draft.updatedAt} />. Revision {draft.revision}, based on set {draft.base}
              {draft.authors.length > 1 && <>. All authors: {draft.authors.map(authorName).join(', ')}</>}
            </p>
          </div>
          <Standing value={state} />
        </header>

        {gone && <Notice tone="warning" title="This draft is gone.">It was published or deleted while you were reading.</Notice>}
        {newer !== undefined && (
          <Notice
            tone="warning"
            title={`${authorName(newer.author)} saved revision ${newer.revision} while you were reading.`}
            action={
              <Button size="compact-sm" variant="default" onClick={onReload}>
                Show revision {newer.revision}
              </Button>
            }
          >
            You see revision {read.revision}, which cannot be approved or published any more.
          </Notice>
        )}
        {!fromCurrent && !gone && (
          <Notice tone="warning" title={`Set ${inForce.number} is in force by now.`}>
            {authorName(inForce.author)} published it{inForce.note ? `: “${inForce.note}”` : ''}. Open the draft in the editor to compare it with set{' '}
            {inForce.number} and save it again.
          </Notice>
        )}

        <section aria-labelledby="draft-changes" className={classes.section}>
          <h2 id="draft-changes" className={action.heading}>
            What it changes{groups !== undefined && `: ${count(countChanges(groups), 'thing')} in set ${draft.base}`}
          </h2>
          <SegmentedControl
            size="xs"
            aria-label="Show"
            className={classes.choice}
            value={view}
            onChange={setView}
            data={[
              { value: 'changes', label: 'Changes' },
              { value: 'rules', label: 'All rules' },
            ]}
          />
          {view === 'rules' ?
            <SetReader number={draft.base} definition={read.definition} />
          : groups !== undefined ?
            countChanges(groups) === 0 ?
              <p className={classes.plain}>Nothing differs from set {draft.base}.</p>
            : <DiffView groups={groups} whole />
          : older.isError ?
            <ErrorNotice title={`Set ${draft.base} could not be loaded.`} error={older.error} onRetry={() => void older.refetch()} />
          : <Waiting label={`Loading set ${draft.base}`} />}
        </section>

        <section aria-labelledby="draft-checks" className={classes.section}>
          <h2 id="draft-checks" className={action.heading}>Checks</h2>
          {check.data !== undefined ?
            <Findings problems={check.data.problems} findings={check.data.findings} set={set} />
          : check.isError ?
            <ErrorNotice title="The draft could not be checked." error={check.error} onRetry={() => void check.refetch()} />
          : <Waiting label="Checking the draft" />}
        </section>

        <section aria-labelledby="draft-tests" className={classes.section}>
          <h2 id="draft-tests" className={action.heading}>Tests</h2>
          {tested.data !== undefined ?
            tested.data.problems.length > 0 ?
              <p className={classes.plain}>They run once the problems are mended.</p>
            : <TestResults tests={tested.data.tests} />
          : tested.isError ?
            <ErrorNotice title="The tests could not be run." error={tested.error} onRetry={() => void tested.refetch()} />
          : <Waiting label="Running the tests" />}
        </section>

        <section aria-labelledby="draft-approvals" className={classes.section}>
          <h2 id="draft-approvals" className={action.heading}>Approvals</h2>
          {draft.approvals.length === 0 ?
            <p className={classes.plain}>{situation.approvalRequired ? 'Nobody has approved this revision yet.' : 'Nobody has to approve it.'}</p>
          : <ul className={classes.box}>
              {draft.approvals.map(({ by, at }) => (
                <Row key={by} tone="good" side={<Ago time={at} />}>
                  {authorName(by)}
                </Row>
              ))}
            </ul>
          }
        </section>
      </div>
      {mayChange(operator) && !gone && newer === undefined && (
        <StepBar
          draft={draft}
          situation={situation}
          next={inForce.number + 1}
          onEdit={original === undefined ? undefined : () => onEdit(draft, original)}
          onPublished={onPublished}
          onDeleted={onDeleted}
        />
      )}
    </>
  )
}

interface StepProps {
  draft: SavedDraftDetail
  situation: Situation
  /** The number that it would be published as. */
  next: number
  onEdit: (() => void) | undefined
  onPublished: (head: RuleSetHead) => void
  onDeleted: () => void
}

const reasonId = 'draft-step'

function StepBar({ draft, situation, next, onEdit, onPublished, onDeleted }: StepProps) {
  const [asking, setAsking] = useState<'publish' | 'delete'>()
  const [note, setNote] = useState('')
  const close = () => setAsking(undefined)
  const approve = useApproveDraft()
  const publish = usePublishDraft(onPublished)
  const remove = useDeleteDraft(onDeleted)
  const canApprove = approving(situation)
  const canPublish = publishing(situation)
  const state = standing(draft, situation.current, situation.approvalRequired)

  const reason =
    canPublish.offered ? `It becomes set ${next} when you publish it.`
    : state !== 'waiting' ? canPublish.reason
    : canApprove.offered ? 'Read what it changes. If you agree, approve it.'
    : canApprove.reason
  return (
    <div className={bar.bar} role="region" aria-label="Next step">
      <span className={bar.text} role="status">
        <strong>{standingWords[state]}.</strong>
        <span className={bar.note} id={reasonId}>
          {reason}
        </span>
        {approve.isError && <ErrorNotice title="It was not approved." error={approve.error} />}
      </span>
      <Button size="xs" variant="subtle" color="gray" onClick={() => setAsking('delete')}>
        Delete
      </Button>
      <Button size="xs" variant="default" disabled={onEdit === undefined} onClick={onEdit}>
        Edit
      </Button>
      {canApprove.offered && (
        <Button size="xs" loading={approve.isPending} onClick={() => approve.mutate(draft)}>
          Approve revision {draft.revision}
        </Button>
      )}
      {!(canApprove.offered && !canPublish.offered) && (
        <Button size="xs" disabled={!canPublish.offered} aria-describedby={reasonId} onClick={() => setAsking('publish')}>
          Publish
        </Button>
      )}

      <ConfirmDialog
        opened={asking === 'publish'}
        title={`Publish as set ${next}`}
        action={`Publish set ${next}`}
        pending={publish.isPending}
        error={publish.error}
        onClose={() => {
          close()
          publish.reset()
        }}
        onConfirm={() => publish.mutate({ draft, note: note.trim() })}
      >
        <p>
          Every decision from then on is made with “{draft.title}”. Set {situation.current} stays in the history.
        </p>
        <Textarea
          label="Why"
          description="Colleagues find this note in the history. Left empty, it is the draft’s title."
          placeholder={draft.title}
          rows={2}
          resize="vertical"
          maxLength={500}
          value={note}
          data-autofocus
          onChange={(event) => setNote(event.currentTarget.value)}
        />
      </ConfirmDialog>
      <ConfirmDialog
        opened={asking === 'delete'}
        title="Delete the draft"
        action="Delete the draft"
        dangerous
        pending={remove.isPending}
        error={remove.error}
        onClose={() => {
          close()
          remove.reset()
        }}
        onConfirm={() => remove.mutate(draft)}
      >
        <p>
          “{draft.title}” is gone for everybody, with all {count(draft.revision, 'revision')} of it. The rules in force stay as they are.
        </p>
      </ConfirmDialog>
    </div>
  )
}
