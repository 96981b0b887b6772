import { Loader } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'

import { versionsQuery } from '../../api/queries'
import { ErrorNotice } from '../../components/Notice'
import { Ago } from '../../components/Time'
import { useAuthorName } from '../../lib/author'
import action from './ActionView.module.css'
import classes from './HistoryView.module.css'

/** Every published set: who, when and why. */
export function HistoryView({ inForce }: { inForce: number }) {
  const versions = useQuery(versionsQuery)
  const authorName = useAuthorName()
  return (
    <>
      <header className={action.header}>
        <div className={action.titles}>
          <h1 className={action.title}>History</h1>
          <p className={action.lead}>A published set never changes, and every decision names the set that made it.</p>
        </div>
      </header>
      {versions.isPending && <Loader size="sm" aria-label="Loading the history" />}
      {versions.isError && <ErrorNotice title="The history could not be loaded." error={versions.error} onRetry={() => void versions.refetch()} />}
      {versions.data !== undefined && (
        <ol className={classes.list}>
          {versions.data.map((version) => (
            <li key={version.number}>
              <Link to="/rules" search={{ set: String(version.number) }} className={classes.version}>
                <span className={classes.number}>
                  <span className="hidden">Set </span>
                  {version.number}
                </span>
                <span className={classes.text}>
                  <span>{version.note || <span className="dim">No note</span>}</span>
                  <span className={classes.by}>
                    {authorName(version.author)}, <Ago time={version.publishedAt} />
                  </span>
                </span>
                {version.number === inForce && <span className={classes.now}>in force</span>}
              </Link>
            </li>
          ))}
        </ol>
      )}
    </>
  )
}
