package main

import (
	"crypto/tls"
	"net/url"
	"strings"

	"tpgate/admin"
)

// readPeppers reads --pepper-file: one pepper a line, the first is current.
func (c *serveConfig) readPeppers(f *flags) {
	text := f.secret("pepper-file", c.pepperFile)
	var peppers [][]byte
	for line := range strings.Lines(text) {
		if pepper := strings.TrimSpace(line); pepper != "" {
			peppers = append(peppers, []byte(pepper))
		}
	}
	if len(peppers) == 0 {
		return
	}
	tokens, err := c.tokens.WithPeppers(peppers)
	if err != nil {
		f.fault("--pepper-file: %w", err)
		return
	}
	c.tokens = tokens
}

// readManagement reads what the management API needs for others than its own machine: further tokens, a certificate, an origin.
func (c *serveConfig) readManagement(f *flags) {
	var err error
	if c.callers, err = admin.ParseTokens(f.secret("admin-tokens-file", c.adminTokensFile)); err != nil {
		f.fault("--admin-tokens-file: %w", err)
	}
	switch {
	case (c.adminTLSCert == "") != (c.adminTLSKey == ""):
		f.fault("--admin-tls-cert and --admin-tls-key belong together: give both")
	case c.adminTLSCert != "":
		certificate, err := tls.LoadX509KeyPair(c.adminTLSCert, c.adminTLSKey)
		if err != nil {
			f.fault("--admin-tls-cert, --admin-tls-key: %w", err)
		}
		c.certificate = &certificate
	}
	if origin, err := url.Parse(c.adminOrigin); c.adminOrigin != "" && (err != nil || origin.Hostname() == "" || strings.Trim(origin.Path, "/") != "" || !strings.HasPrefix(origin.Scheme, "http")) {
		f.fault("--admin-origin: %q is not an origin such as https://keys.example.com", c.adminOrigin)
	}
}

// hosts are the names under which the management API may be reached; nil: any.
func (c *serveConfig) hosts() []string {
	hosts := allowedHosts(c.adminListen)
	if origin, err := url.Parse(c.adminOrigin); err == nil && c.adminOrigin != "" {
		return append([]string{"127.0.0.1", "::1", "localhost"}, append(hosts, strings.ToLower(origin.Hostname()))...)
	}
	return hosts
}
