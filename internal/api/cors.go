package api

import (
	"net/http"
	"net/url"
	"strings"
)

// clientPrefix is where browsers of other origins may call.
const clientPrefix = "/v1/client/"

// cors lets the pages of the listed origins, and no others, call the client API
// and read its answers, errors included. It reports whether the request was a
// preflight, which is answered then. Credentials are allowed for the SDK calls
// that send cookies, so the origin is echoed and never a star.
func (s *Server) cors(w http.ResponseWriter, r *http.Request) bool {
	header := w.Header()
	header.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	listed := s.origins[origin]
	if listed {
		header.Set("Access-Control-Allow-Origin", origin)
		header.Set("Access-Control-Allow-Credentials", "true")
		header.Set("Access-Control-Expose-Headers", "X-Request-Id, Retry-After")
	}
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	header.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	if listed {
		header.Set("Access-Control-Allow-Methods", "GET, POST, PATCH, DELETE")
		header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Request-Id")
		header.Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

// originOf is the origin of an address, "" when it has none or is not plain
// http or https. A default port is left out, as browsers do.
func originOf(u *url.URL) string {
	if u == nil || u.Host == "" || u.User != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return ""
	}
	host := strings.ToLower(u.Host)
	if port := u.Port(); port == "80" && u.Scheme == "http" || port == "443" && u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return u.Scheme + "://" + host
}

// checkRedirect refuses an address outside the allowed origins. The hosted page
// sends people there with a token.
func (s *Server) checkRedirect(address string) error {
	if address == "" {
		return nil
	}
	u, err := url.Parse(address)
	if err != nil || !s.origins[originOf(u)] {
		return invalidField("redirectUrl", "must be an address on one of the allowed origins. Add its origin to SALLYPORT_ORIGINS.")
	}
	return nil
}
