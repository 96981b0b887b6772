// Where the console is mounted, such as "/console". The Go handler writes it
// into index.html; Vite's dev server leaves the placeholder as it is.
const written = document.querySelector<HTMLMetaElement>('meta[name="sallyport-prefix"]')?.content ?? ''

export const prefix = written.startsWith('/') ? written : '/console'

// The nonce of this page load, for styles that scripts add.
export const styleNonce = document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? ''
