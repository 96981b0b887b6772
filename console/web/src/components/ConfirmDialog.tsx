import { Button, Group, Modal } from '@mantine/core'
import type { ReactNode } from 'react'

import { ErrorNotice } from './Notice'
import classes from './ConfirmDialog.module.css'

interface Props {
  opened: boolean
  title: string
  /** What happens then. */
  children: ReactNode
  /** Names the deed, on the button that does it. */
  action: string
  dangerous?: boolean
  pending?: boolean
  error?: unknown
  onClose: () => void
  onConfirm: () => void
}

/** Asks before something that colleagues will notice. */
export function ConfirmDialog({ opened, title, children, action, dangerous = false, pending = false, error, onClose, onConfirm }: Props) {
  return (
    <Modal opened={opened} onClose={onClose} title={title} size={520} closeButtonProps={{ 'aria-label': 'Close' }}>
      <form
        className={classes.content}
        noValidate
        onSubmit={(event) => {
          event.preventDefault()
          if (!pending) onConfirm()
        }}
      >
        {children}
        {error != null && <ErrorNotice error={error} />}
        <Group gap="xs" justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={pending} {...(dangerous ? { color: 'red.9' } : {})}>
            {action}
          </Button>
        </Group>
      </form>
    </Modal>
  )
}
