import { Button, Loader, SegmentedControl, Textarea } from '@mantine/core'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useMemo, useState } from 'react'

import { answerOf, api, ApiError } from '../../api/client'
import { rulesQuery, versionQuery } from '../../api/queries'
import type { RuleSet, RuleSetHead } from '../../api/types'
import { ConfirmDialog } from '../../components/ConfirmDialog'
import { Blank, ErrorNotice } from '../../components/Notice'
import { Ago } from '../../components/Time'
import { useAuthorName } from '../../lib/author'
import { count } from '../../lib/format'
import { countChanges, diff } from '../../rules/diff'
import { DiffView } from './DiffView'
import { takeOver } from './drafts'
import { SetReader } from './SetReader'
import action from './ActionView.module.css'
import bar from './DraftBar.module.css'
import history from './HistoryView.module.css'
import rules from './rules.module.css'
import classes from './Drafts.module.css'

interface Props {
  number: number
  inForce: RuleSet
  readOnly: boolean
  onPublished: (head: RuleSetHead) => void
}

/** One published set, and the way back to it. */
export function VersionPage(props: Props) {
  const isCurrent = props.number === props.inForce.number
  const version = useQuery({ ...versionQuery(props.number), enabled: !isCurrent })
  const set = isCurrent ? props.inForce : version.data
  if (set !== undefined) return <Content key={set.number} {...props} set={set} />
  const unknown = version.error instanceof ApiError && version.error.status === 404
  return (
    <div className={rules.column}>
      <BackLink />
      {version.isPending && <Loader size="sm" aria-label="Loading the set" />}
      {unknown && <Blank heading="h1" title={`There is no set ${props.number}`} />}
      {version.isError && !unknown && <ErrorNotice title={`Set ${props.number} could not be loaded.`} error={version.error} onRetry={() => void version.refetch()} />}
    </div>
  )
}

const BackLink = () => (
  <Link to="/rules" search={{ view: 'history' }} className={classes.back}>
    All sets
  </Link>
)

function Content({ set, inForce, readOnly, onPublished }: Props & { set: RuleSet }) {
  const authorName = useAuthorName()
  const isCurrent = set.number === inForce.number
  const groups = useMemo(() => diff(inForce.definition, set.definition), [inForce, set])
  const [view, setView] = useState('changes')
  const [asking, setAsking] = useState(false)
  const [note, setNote] = useState('')
  const client = useQueryClient()
  const next = inForce.number + 1
  const back = useMutation({
    mutationFn: () => answerOf(api.POST('/rules/rollback', { body: { number: set.number, base: inForce.number, note: note.trim() } })),
    onSuccess: (head) => {
      takeOver(client, head, set.definition)
      onPublished(head)
    },
    onError: (error) => {
      if (error instanceof ApiError && error.status === 409) void client.invalidateQueries({ queryKey: rulesQuery.queryKey, exact: true })
    },
  })
  return (
    <>
      <div className={rules.column}>
        <BackLink />
        <header className={action.header}>
          <div className={action.titles}>
            <h1 className={action.title}>Set {set.number}</h1>
            <p className={action.lead}>
              {set.note || 'No note'}. {authorName(set.author)}, <Ago time={set.publishedAt} />
            </p>
          </div>
          {isCurrent && <span className={history.now}>in force</span>}
        </header>
        {!isCurrent && (
          <SegmentedControl
            size="xs"
            aria-label="Show"
            className={classes.choice}
            value={view}
            onChange={setView}
            data={[
              { value: 'changes', label: `Compared with set ${inForce.number}` },
              { value: 'rules', label: 'All rules' },
            ]}
          />
        )}
        {isCurrent || view === 'rules' ?
          <SetReader number={set.number} definition={set.definition} />
        : <section aria-labelledby="set-changes" className={classes.section}>
            <h2 id="set-changes" className={action.heading}>
              Going back changes {count(countChanges(groups), 'thing')} in set {inForce.number}
            </h2>
            {groups.length === 0 ? <p className={classes.plain}>Both sets are alike.</p> : <DiffView groups={groups} whole />}
          </section>
        }
      </div>
      {!isCurrent && !readOnly && (
        <div className={bar.bar} role="region" aria-label="Next step">
          <span className={bar.text}>
            <span className={bar.note}>Set {set.number} is not in force.</span>
          </span>
          <Button size="xs" onClick={() => setAsking(true)}>
            Roll back to set {set.number}
          </Button>
        </div>
      )}
      <ConfirmDialog
        opened={asking}
        title={`Roll back to set ${set.number}`}
        action={`Roll back as set ${next}`}
        pending={back.isPending}
        error={back.error}
        onClose={() => {
          setAsking(false)
          back.reset()
        }}
        onConfirm={() => back.mutate()}
      >
        <p>
          The rules of set {set.number} become set {next} and are in force at once. Set {inForce.number} stays in the history. Nobody has to approve this.
        </p>
        <Textarea
          label="Why"
          description="Colleagues find this note in the history."
          rows={2}
          resize="vertical"
          maxLength={400}
          value={note}
          data-autofocus
          onChange={(event) => setNote(event.currentTarget.value)}
        />
      </ConfirmDialog>
    </>
  )
}
