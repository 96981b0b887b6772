import { createTheme, type MantineColorsTuple } from '@mantine/core'

// One accent. Outcomes have colours of their own, in styles.css.
const gate: MantineColorsTuple = ['#eef0fd', '#dcdff7', '#b7bdee', '#909ae6', '#707cde', '#5b69d9', '#4f5dd3', '#3f4fc4', '#3846ae', '#2d3990']

// Mantine's greys with a little blue in them, to fit styles.css.
const dark: MantineColorsTuple = ['#e5e6ec', '#b9bcc8', '#9ba0b0', '#5f6373', '#3b3e4a', '#2b2d36', '#1f2027', '#191a20', '#15161b', '#121317']

export const theme = createTheme({
  primaryColor: 'gate',
  primaryShade: { light: 7, dark: 6 },
  colors: { gate, dark },
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif',
  fontFamilyMonospace: 'ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace',
  defaultRadius: 'sm',
  cursorType: 'pointer',
  respectReducedMotion: true,
  components: {
    Tooltip: { defaultProps: { openDelay: 350, withArrow: true, fz: 12 } },
    // The page itself never scrolls, and the lock would add a style without the nonce.
    Modal: { defaultProps: { lockScroll: false, centered: false, overlayProps: { backgroundOpacity: 0.45 } } },
    ActionIcon: { defaultProps: { variant: 'subtle', color: 'gray' } },
  },
})
