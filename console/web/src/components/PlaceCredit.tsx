/** Names where countries and cities come from, as the licence of the data that ship asks on each page that shows them. */
export function PlaceCredit() {
  return (
    <p className="dim" style={{ fontSize: 12 }}>
      <a href="https://db-ip.com" target="_blank" rel="noreferrer">
        IP Geolocation by DB-IP
      </a>
    </p>
  )
}
