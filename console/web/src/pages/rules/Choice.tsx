import { NativeSelect, TextInput } from '@mantine/core'

interface Props<T extends string> {
  label: string
  /** One sentence on what is chosen. */
  description?: string
  value: T
  data: { value: T; label: string }[]
  readOnly: boolean
  disabled?: boolean
  error?: string | undefined
  onChange: (value: T) => void
}

/** A drop-down, or its chosen text where nothing may be changed: a disabled one is hard to read. */
export function Choice<T extends string>({ label, description, value, data, readOnly, disabled = false, error, onChange }: Props<T>) {
  if (readOnly) return <TextInput label={label} description={description} value={data.find((each) => each.value === value)?.label ?? value} readOnly />
  return (
    <NativeSelect
      label={label}
      description={description}
      value={value}
      data={data}
      disabled={disabled}
      error={error}
      onChange={(event) => onChange(event.currentTarget.value as T)}
    />
  )
}
