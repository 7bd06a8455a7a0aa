package inspector

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// refusal is the answer to a request that is not served.
type refusal struct {
	status int
	says   string
}

func (r *refusal) write(w http.ResponseWriter) {
	if r.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="berth inspector"`)
	}
	writeJSON(w, r.status, failure{Error: r.says})
}

func forbidden(says string) *refusal { return &refusal{status: http.StatusForbidden, says: says} }

// setHeaders keeps pages of other origins from reading, framing and running anything here.
func setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// admit decides whether a request is answered at all. nil means that it is.
func (i *Inspector) admit(r *http.Request) *refusal {
	if isRemote(r) && !i.options.AllowRemote {
		return forbidden("only clients on this machine are answered: see Options.AllowRemote")
	}
	if !i.knowsHost(r.Host) {
		return forbidden("the host is neither an IP address nor localhost nor one of Options.Hosts")
	}
	return nil
}

// admitData decides, after admit, about what is no file of the page. Those files are no secret: a
// remote browser gets them without the token, and asks its user for it.
func (i *Inspector) admitData(r *http.Request) *refusal {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
	default:
		return forbidden("a page of another origin sent the request")
	}
	if isRemote(r) && !i.hasToken(r) {
		return &refusal{status: http.StatusUnauthorized, says: "the request needs the token"}
	}
	return nil
}

// allows decides about an action, after admitData.
func (i *Inspector) allows(r *http.Request) *refusal {
	if !i.options.Actions {
		return forbidden("actions are off: see Options.Actions")
	}
	// By Sec-Fetch-Site, and by Origin where a browser does not send it.
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return forbidden("a page of another origin sent the request")
	}
	if !i.hasToken(r) {
		return &refusal{status: http.StatusUnauthorized, says: "the action needs the token"}
	}
	return nil
}

// forwarding are the headers by which a proxy says that the request is a client's of its own.
var forwarding = []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip"}

// isRemote reports whether the client is on another machine, as far as is known.
func isRemote(r *http.Request) bool {
	for _, name := range forwarding {
		if len(r.Header.Values(name)) > 0 {
			return true
		}
	}
	if local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr); local != nil && local.Network() == "unix" {
		return false // the permissions of the path have decided
	}
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	return err != nil || !addr.Addr().IsLoopback()
}

// knowsHost reports whether a request may name this host. A name that is unknown may be one that
// another origin has resolve to this machine (DNS rebinding). An address cannot be that.
func (i *Inspector) knowsHost(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	same := func(known string) bool { return strings.EqualFold(known, name) }
	return same("localhost") || slices.ContainsFunc(i.options.Hosts, same)
}

// hasToken compares hashes, so that the time depends on neither the bytes nor their number.
func (i *Inspector) hasToken(r *http.Request) bool {
	if i.options.Token == "" {
		return false
	}
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	a, b := sha256.Sum256([]byte(strings.TrimSpace(given))), sha256.Sum256([]byte(i.options.Token))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
