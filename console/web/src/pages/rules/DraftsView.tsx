import { Loader } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'

import { draftsQuery } from '../../api/queries'
import type { SavedDraft } from '../../api/types'
import { Blank, ErrorNotice } from '../../components/Notice'
import { Ago } from '../../components/Time'
import { useAuthorName } from '../../lib/author'
import { standing, standingWords, type Standing as StandingName } from '../../rules/steps'
import action from './ActionView.module.css'
import classes from './Drafts.module.css'

/** Every rule set on its way. */
export function DraftsView({ readOnly }: { readOnly: boolean }) {
  const list = useQuery(draftsQuery)
  const answer = list.data
  return (
    <>
      <header className={action.header}>
        <div className={action.titles}>
          <h1 className={action.title}>Drafts</h1>
          <p className={action.lead}>
            Rule sets on their way.
            {answer !== undefined && (answer.approvalRequired ? ' Somebody who did not work on a draft approves it before it is published.' : ' Nobody has to approve them here.')}
          </p>
        </div>
      </header>
      {list.isPending && <Loader size="sm" aria-label="Loading the drafts" />}
      {list.isError && <ErrorNotice title="The drafts could not be loaded." error={list.error} onRetry={() => void list.refetch()} />}
      {answer !== undefined && answer.drafts.length === 0 && (
        <div className={classes.empty}>
          <Blank title="No drafts">
            <span>{readOnly ? 'When somebody saves changes as a draft, it waits here.' : 'Change a rule and save it as a draft: it waits here until it is published.'}</span>
          </Blank>
        </div>
      )}
      {answer !== undefined && answer.drafts.length > 0 && (
        <ul className={classes.list}>
          {answer.drafts.map((draft) => (
            <li key={draft.id}>
              <Entry draft={draft} current={answer.current} approvalRequired={answer.approvalRequired} />
            </li>
          ))}
        </ul>
      )}
    </>
  )
}

function Entry({ draft, current, approvalRequired }: { draft: SavedDraft; current: number; approvalRequired: boolean }) {
  const authorName = useAuthorName()
  return (
    <Link to="/rules" search={{ draft: draft.id }} className={classes.draft}>
      <span className={classes.text}>
        <span className={classes.name}>{draft.title}</span>
        <span className={classes.by}>
          {authorName(draft.author)}, <Ago time={draft.updatedAt} />. Revision {draft.revision}, based on set {draft.base}
        </span>
        {draft.approvals.length > 0 && <span className={classes.by}>Approved by {draft.approvals.map(({ by }) => authorName(by)).join(', ')}</span>}
      </span>
      <Standing value={standing(draft, current, approvalRequired)} />
    </Link>
  )
}

export function Standing({ value }: { value: StandingName }) {
  return (
    <span className={classes.standing} data-standing={value}>
      {standingWords[value]}
    </span>
  )
}
