package admin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"tpgate/store"
)

// Times of Idempotency-Key (draft-ietf-httpapi-idempotency-key-header).
const (
	onceFor       = 24 * time.Hour        // how long a repeat is known as one
	oncePatience  = 2 * time.Second       // how long a repeat waits for the first to be done
	oncePoll      = 20 * time.Millisecond // how often it looks
	onceAbandoned = 30 * time.Second      // after which the first is taken to have died
	onceCleanup   = 5 * time.Second       // bounds noting the outcome, also when the caller has gone
)

// once is what is noted under an Idempotency-Key.
type once struct {
	Body   string    `json:"body"` // hash of method, path and body
	Key    string    `json:"key"`  // id of the key that is made or rotated
	Begun  time.Time `json:"begun"`
	Status int       `json:"status"` // of the answer; 0: not done yet
}

// onlyOnce runs do, unless a request with the same Idempotency-Key has: then it answers with the key that came of that, without its secret, which is nowhere any more.
func (a *API) onlyOnce(r *request, do func() (reply, error)) (reply, error) {
	values := r.Header.Values("Idempotency-Key")
	if len(values) == 0 {
		return do()
	}
	if len(values) > 1 || !validIdempotencyKey(values[0]) {
		return reply{}, malformed(errors.New("Idempotency-Key is not 1 to 255 visible ASCII characters"))
	}
	owner, body := sha256.Sum256([]byte(r.caller.name+"\n"+values[0])), sha256.Sum256(append([]byte(r.Method+" "+r.URL.Path+"\n"), r.raw...))
	name := "once:" + hex.EncodeToString(owner[:])
	mine := once{Body: hex.EncodeToString(body[:]), Key: r.id, Begun: time.Now().UTC()}
	if mine.Key == "" {
		mine.Key = store.NewID()
	}
	first, err := a.claimOnce(r, name, &mine)
	switch {
	case err != nil:
		return reply{}, err
	case first != nil:
		return a.repeat(r, first)
	}
	r.newID = mine.Key
	out, err := do()
	a.settleOnce(r, name, mine, out.status, err)
	return out, err
}

func validIdempotencyKey(key string) bool {
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return false
		}
	}
	return len(key) >= 1 && len(key) <= 255
}

// claimOnce returns nil if the request is the first, and otherwise what the first one has come to, waiting for it a while.
func (a *API) claimOnce(r *request, name string, mine *once) (*once, error) {
	note, _ := json.Marshal(mine) // strings, a number and a time always encode
	for end := time.Now().Add(oncePatience); ; {
		held, err := a.config.Store.Claim(r.Context(), name, note, onceFor)
		if err != nil || held == nil {
			return nil, err
		}
		var first once
		if err := json.Unmarshal(held, &first); err != nil {
			return nil, err
		}
		switch {
		case first.Body != mine.Body:
			return nil, &failure{status: http.StatusConflict, Problem: Problem{Message: "This Idempotency-Key was used for another request."}}
		case first.Status != 0:
			return &first, nil
		case time.Since(first.Begun) > onceAbandoned:
			_, err := a.config.Store.Key(r.Context(), r.workspace, first.Key)
			if err == nil && r.id == "" {
				first.Status = http.StatusCreated // it died, or did not hear of it, after the key was made
				return &first, nil
			}
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return nil, err
			}
			mine.Key = first.Key
			note, _ = json.Marshal(mine)
			if taken, err := a.config.Store.Replace(r.Context(), name, held, note, onceFor); err != nil || taken {
				return nil, err
			}
		case time.Now().After(end):
			return nil, &failure{status: http.StatusConflict, retryAfter: time.Second, Problem: Problem{Message: "The first request with this Idempotency-Key is still under way."}}
		}
		time.Sleep(oncePoll)
	}
}

// settleOnce notes the outcome. A refusal is forgotten, so that it can be tried again; where the outcome is unknown, a repeat looks at once whether there is a key.
func (a *API) settleOnce(r *request, name string, mine once, status int, failed error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), onceCleanup)
	defer cancel()
	pending, _ := json.Marshal(mine)
	var done []byte
	switch {
	case failed == nil:
		mine.Status = status
		done, _ = json.Marshal(mine)
	case unsure(failed), errors.Is(failed, store.ErrExists): // made by the first after all
		mine.Begun = time.Time{}
		done, _ = json.Marshal(mine)
	}
	if _, err := a.config.Store.Replace(ctx, name, pending, done, onceFor); err != nil { // the change itself is made, or has failed for a reason of its own
		a.config.Logger.Warn("outcome of an idempotent request not noted", "error", err)
	}
}

// repeat answers a repeated request.
func (a *API) repeat(r *request, first *once) (reply, error) {
	key, err := a.config.Store.Key(r.Context(), r.workspace, first.Key)
	return reply{first.Status, NewKey{Token: keyOf(&key, time.Now())}, ""}, err
}
