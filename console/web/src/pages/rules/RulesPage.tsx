import { Loader } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useEffect } from 'react'

import { rulesQuery, sessionQuery } from '../../api/queries'
import { ErrorNotice } from '../../components/Notice'
import { Workbench } from './Workbench'
import classes from './rules.module.css'

export function RulesPage() {
  // Somebody else may publish while this page is open.
  const inForce = useQuery({ ...rulesQuery, refetchInterval: 10_000 })
  const session = useQuery(sessionQuery)
  useEffect(() => {
    document.title = 'Rules · Sallyport'
  }, [])
  if (inForce.data === undefined || session.data == null) {
    return (
      <div className={classes.center}>
        {inForce.isPending ?
          <Loader size="sm" aria-label="Loading the rules" />
        : <ErrorNotice title="The rules could not be loaded." error={inForce.error} onRetry={() => void inForce.refetch()} />}
      </div>
    )
  }
  return <Workbench inForce={inForce.data} operator={session.data.operator} />
}
