import { ActionIcon, Tooltip } from '@mantine/core'
import { useClipboard } from '@mantine/hooks'

import { Check, Copy } from './icons'

/** Copies text; name says what it is, as in "Copy user id". */
export function CopyButton({ text, name, size = 'sm' }: { text: string; name: string; size?: 'xs' | 'sm' | 'md' }) {
  const clipboard = useClipboard({ timeout: 1500 })
  const label = clipboard.copied ? 'Copied' : clipboard.error !== null ? 'Could not be copied' : `Copy ${name}`
  return (
    <Tooltip label={label} openDelay={clipboard.copied ? 0 : 350}>
      <ActionIcon size={size} aria-label={label} onClick={() => clipboard.copy(text)}>
        {clipboard.copied ? <Check size={14} /> : <Copy size={14} />}
      </ActionIcon>
    </Tooltip>
  )
}
