package admin

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tpgate/store"
)

// Bounds of a page.
const (
	defaultPage = 100
	maxPage     = 1000
	maxCursor   = 512
	tagLength   = 16 // bytes of the cursor's authentication tag
)

// page is what a list request asks for.
type page struct {
	limit int
	after string // where the page before ended; "": from the start
}

func (a *API) readPage(r *request) (page, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return page{}, malformed(errors.New("its query cannot be read"))
	}
	p := page{limit: defaultPage}
	if text := query.Get("limit"); query.Has("limit") {
		if p.limit, err = strconv.Atoi(text); err != nil || p.limit < 1 || p.limit > maxPage {
			return page{}, malformed(fmt.Errorf("limit is not a number from 1 to %d", maxPage))
		}
	}
	if query.Has("cursor") {
		if p.after, err = a.openCursor(r, query.Get("cursor")); err != nil {
			return page{}, malformed(err)
		}
	}
	return p, nil
}

// nextPage returns the address of the page after this one.
func (a *API) nextPage(r *request, p page, after string) string {
	cursor := base64.RawURLEncoding.EncodeToString(append(a.cursorTag(r, after), after...))
	return r.URL.Path + "?" + url.Values{"cursor": {cursor}, "limit": {strconv.Itoa(p.limit)}}.Encode()
}

// openCursor returns where the page before ended. A cursor is that text behind a tag (HMAC-SHA-256) over the text and the list, so that it fits this list alone.
func (a *API) openCursor(r *request, cursor string) (string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(cursor) > maxCursor || len(raw) <= tagLength {
		return "", errors.New("its cursor is not one that this list has given")
	}
	after := string(raw[tagLength:])
	if !hmac.Equal(raw[:tagLength], a.cursorTag(r, after)) {
		return "", errors.New("its cursor is not one that this list has given")
	}
	return after, nil
}

func (a *API) cursorTag(r *request, after string) []byte {
	mac := hmac.New(sha256.New, a.cursorKey)
	mac.Write([]byte(r.URL.Path + "\n" + r.caller.workspace + "\n" + after))
	return mac.Sum(nil)[:tagLength]
}

// positionText writes a key's position in a list.
func positionText(k *store.Key) string { return fmt.Sprintf("%d/%s", k.CreatedAt.UnixMilli(), k.ID) }

// position reads what positionText wrote; the cursor's tag has proven it.
func (p page) position() store.Position {
	created, id, ok := strings.Cut(p.after, "/")
	ms, err := strconv.ParseInt(created, 10, 64)
	if !ok || err != nil {
		return store.Position{}
	}
	return store.Position{CreatedAt: time.UnixMilli(ms).UTC(), ID: id}
}
