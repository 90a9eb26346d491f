package authz

// bearer is the result of reading the Authorization headers of a request.
type bearer uint8

const (
	bearerInvalid bearer = iota // something, but not exactly one "Bearer KEY"
	bearerMissing               // no Authorization header at all
	bearerPresent               // exactly one; what KEY is worth is not yet known
)

// parseAuthorization reads the values of all Authorization headers: exactly one, "Bearer" in any case, one space, the key (RFC 6750 section 2.1). The key is a part of its argument.
// Two headers, or a proxy's join of them with a comma, are never a credential: two parsers could take two different keys from them.
func parseAuthorization(values [][]byte) ([]byte, bearer) {
	const scheme = "bearer "
	switch {
	case len(values) == 0:
		return nil, bearerMissing
	case len(values) > 1 || len(values[0]) <= len(scheme):
		return nil, bearerInvalid
	}
	value := values[0]
	for i := range len(scheme) - 1 {
		if value[i]|0x20 != scheme[i] { // folds the case of ASCII letters; no other byte becomes one of these letters but their own capitals
			return nil, bearerInvalid
		}
	}
	if value[len(scheme)-1] != ' ' {
		return nil, bearerInvalid
	}
	return value[len(scheme):], bearerPresent
}
