package store

import (
	"time"

	"tpgate/limiter"
)

// Verify decides a check. It waits for nothing but locks that are held for microseconds, so it needs no deadline.
func (e *Embedded) Verify(digest Digest, _ time.Time) Decision {
	k := e.index.find(digest)
	if k == nil {
		return Decision{Verdict: Unknown}
	}
	w := k.workspace
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if k.gone || !k.answersTo(digest, now) {
		return Decision{Verdict: Unknown}
	}
	decision := Decision{Workspace: k.Workspace, KeyID: k.ID}
	switch {
	case k.Disabled:
		decision.Verdict = Disabled
	case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
		decision.Verdict = Expired
	case w.settings.Suspended:
		decision.Verdict = Suspended
	default:
		e.take(k, now, &decision)
	}
	e.tally.count(&k.metered, decision.Verdict)
	return decision
}

// answersTo reports whether this is a digest of the key; a key of which only a bcrypt hash is known has none yet. It was found by its digest, so there is no secret left that a comparison could tell by its time.
func (k *embeddedKey) answersTo(digest Digest, now time.Time) bool {
	return !k.IsLegacy() && k.found(digest, now)
}

// take asks the windows of key and workspace for one permit.
func (e *Embedded) take(k *embeddedKey, now time.Time, decision *Decision) {
	w := k.workspace
	stamp := e.stampOf(now)
	grant := limiter.Take(stamp, 1,
		limiter.Quota{Admissions: &k.admissions, Limit: k.Limit.Or(&e.defaults.KeyLimit)},
		limiter.Quota{Admissions: &w.admissions, Limit: w.settings.Limit.Or(&e.defaults.WorkspaceLimit)})
	decision.Verdict = Limited
	if grant.Granted == 1 {
		decision.Verdict = Allowed
		k.used = now.UnixMilli()
		if !k.waiting {
			k.waiting = true
			e.used.add(k)
		}
	}
	if grant.Quota < 0 {
		return
	}
	wait := time.Duration(grant.Reset-stamp) * time.Microsecond
	decision.Standing = Standing{Scope: ScopeKey, Window: grant.Window, Remaining: grant.Remaining, Reset: now.Add(wait).UTC(), Wait: wait}
	if grant.Quota == 1 {
		decision.Standing.Scope = ScopeWorkspace
	}
}

// stampOf returns now on the clock of the windows, which is not moved when the computer's clock is put right: it counts on from when the store was opened, by the monotonic
// reading of now. (Expiry goes by the computer's clock.)
func (e *Embedded) stampOf(now time.Time) limiter.Stamp {
	return limiter.StampOf(e.opened) + limiter.Stamp(now.Sub(e.opened).Microseconds())
}
