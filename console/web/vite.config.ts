import react from '@vitejs/plugin-react'
import { defineConfig } from 'vitest/config'

// The dev server answers under /console/ and passes the API on to a running
// Sallyport. The build uses relative addresses: the Go handler knows the prefix
// it is mounted at and writes it, with the nonce, into each copy of index.html.
export default defineConfig(({ command }) => ({
  plugins: [react()],
  base: command === 'serve' ? '/console/' : './',
  html: { cspNonce: '__NONCE__' },
  server: {
    host: 'localhost',
    proxy: { '/console/api': 'http://localhost:8080' },
  },
  build: {
    outDir: '../dist',
    // Old hashed files must not pile up in the binary. public/.gitkeep is copied
    // back, so that a build leaves the work tree as git knows it.
    emptyOutDir: true,
    // Browsers with passkeys as JSON and light-dark(); nothing is rewritten for older ones.
    target: ['chrome129', 'firefox128', 'safari18.4'],
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
  },
  test: { include: ['src/**/*.test.ts'] },
}))
