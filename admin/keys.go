package admin

import (
	"cmp"
	"net/http"
	"time"

	"tpgate/limiter"
	"tpgate/store"
)

// maxOverlap is how long a rotated secret may go on working.
const maxOverlap = 7 * 24 * time.Hour

func (a *API) listKeys(r *request) (reply, error) {
	p, err := a.readPage(r)
	if err != nil {
		return reply{}, err
	}
	keys, err := a.config.Store.ListKeys(r.Context(), r.workspace, p.position(), p.limit+1)
	if err != nil {
		return reply{}, err
	}
	out := reply{status: http.StatusOK}
	if len(keys) > p.limit {
		keys = keys[:p.limit]
		out.next = a.nextPage(r, p, positionText(&keys[p.limit-1]))
	}
	list := make([]Key, len(keys))
	for i := range keys {
		list[i] = keyOf(&keys[i], time.Now())
	}
	out.value = list
	return out, nil
}

func (a *API) showKey(r *request) (reply, error) {
	key, err := a.config.Store.Key(r.Context(), r.workspace, r.id)
	return reply{http.StatusOK, keyOf(&key, time.Now()), ""}, err
}

// showUsage returns the hours of the last 30 days in which the key was checked.
func (a *API) showUsage(r *request) (reply, error) {
	if _, err := a.config.Store.Key(r.Context(), r.workspace, r.id); err != nil {
		return reply{}, err
	}
	usage, err := a.config.Store.Usage(r.Context(), r.workspace, r.id)
	list := make([]Usage, len(usage))
	for i, u := range usage {
		list[i] = Usage{u.Hour.Format(timeLayout), u.Allowed, u.Refused}
	}
	return reply{http.StatusOK, list, ""}, err
}

func (a *API) createKey(r *request) (reply, error) {
	var f faults
	now := time.Now().UTC().Truncate(time.Millisecond)
	key := store.Key{Workspace: r.workspace, Name: f.name(r.body), ExpiresAt: f.expiry(r.body, now), Limit: f.limit(r.body), CreatedAt: now}
	if err := f.problem(); err != nil {
		return reply{}, err
	}
	if err := a.mayGive(r, key.Limit); err != nil {
		return reply{}, err
	}
	secret := a.config.Tokens.New()
	r.id = cmp.Or(r.newID, store.NewID())
	key.ID, key.Digest, key.Hint = r.id, a.config.Tokens.DigestOf(secret), a.config.Tokens.Hint(secret)
	if err := a.record(r, "key.create"); err != nil {
		return reply{}, err
	}
	key, err := a.config.Store.Create(r.Context(), key)
	return reply{http.StatusCreated, NewKey{keyOf(&key, now), &secret}, ""}, err
}

func (a *API) updateKey(r *request) (reply, error) {
	var f faults
	var wanted store.Key
	if r.body.has("name") {
		wanted.Name = f.name(r.body)
	}
	wanted.ExpiresAt, wanted.Limit, wanted.Disabled = f.expiry(r.body, time.Time{}), f.limit(r.body), f.flag(r.body, "disabled")
	if err := f.problem(); err != nil {
		return reply{}, err
	}
	if err := a.mayGive(r, wanted.Limit); err != nil {
		return reply{}, err
	}
	if err := a.record(r, "key.update"); err != nil {
		return reply{}, err
	}
	ended := false
	key, err := a.config.Store.UpdateKey(r.Context(), r.workspace, r.id, func(k *store.Key) error {
		was := k.StatusAt(time.Now())
		if r.body.has("name") {
			k.Name = wanted.Name
		}
		if r.body.has("expires_at") {
			k.ExpiresAt = wanted.ExpiresAt
		}
		if r.body.has("limit") {
			k.Limit = wanted.Limit
		}
		if r.body.has("disabled") {
			k.Disabled = wanted.Disabled
		}
		ended = was == store.StatusActive && k.StatusAt(time.Now()) != was
		return nil
	})
	if ended {
		a.announce(r.Context(), err, r.workspace, r.id)
	}
	return reply{http.StatusOK, keyOf(&key, time.Now()), ""}, err
}

// rotateKey gives the key a new secret. The old one works until the overlap ends; the one before, if its overlap has not ended yet, does not any more.
func (a *API) rotateKey(r *request) (reply, error) {
	var f faults
	overlap := f.duration(r.body, "overlap", maxOverlap)
	if err := f.problem(); err != nil {
		return reply{}, err
	}
	if err := a.record(r, "key.rotate"); err != nil {
		return reply{}, err
	}
	secret, now := a.config.Tokens.New(), time.Now().UTC()
	key, err := a.config.Store.UpdateKey(r.Context(), r.workspace, r.id, func(k *store.Key) error {
		if overlap == 0 || !k.IsLegacy() {
			k.Legacy = store.Legacy{} // else the bcrypt hash goes on verifying the old secret
		}
		k.Previous, k.PreviousUntil = store.Digest{}, time.Time{}
		if overlap > 0 {
			k.Previous, k.PreviousUntil = k.Digest, now.Add(overlap).Truncate(time.Millisecond)
		}
		k.Digest, k.Hint = a.config.Tokens.DigestOf(secret), a.config.Tokens.Hint(secret)
		return nil
	})
	if overlap == 0 {
		a.announce(r.Context(), err, r.workspace, r.id)
	}
	return reply{http.StatusOK, NewKey{keyOf(&key, now), &secret}, ""}, err
}

func (a *API) deleteKey(r *request) (reply, error) {
	if err := a.record(r, "key.delete"); err != nil {
		return reply{}, err
	}
	err := a.config.Store.DeleteKey(r.Context(), r.workspace, r.id)
	a.announce(r.Context(), err, r.workspace, r.id)
	return reply{status: http.StatusNoContent}, err
}

func (a *API) deleteKeys(r *request) (reply, error) {
	if err := a.record(r, "keys.delete"); err != nil {
		return reply{}, err
	}
	ids := a.keysOf(r.Context(), r.workspace)
	err := a.config.Store.DeleteKeys(r.Context(), r.workspace)
	a.announce(r.Context(), err, r.workspace, ids...)
	return reply{status: http.StatusNoContent}, err
}

// mayGive refuses a quota that is more than the caller may give: tokens of role keys may give no more than the workspace has, or else what keys have by default.
func (a *API) mayGive(r *request, limit limiter.Limit) error {
	if r.caller.role >= roleAdmin || !limit.IsSet() {
		return nil
	}
	workspace, err := a.config.Store.Workspace(r.Context(), r.workspace)
	if err != nil {
		return err
	}
	bound := a.config.KeyLimit
	switch own := workspace.Limit; {
	case len(own.Windows()) > 0:
		bound = own
	case !own.IsSet() && len(bound.Windows()) == 0:
		bound = a.config.WorkspaceLimit
	}
	if !limit.AtMost(bound) {
		return &failure{status: http.StatusForbidden, Problem: Problem{Message: "This token may not give a key more than " + bound.String() + "."}}
	}
	return nil
}
