package limiter

import (
	"sort"
	"time"
)

// Stamp is a point in time in microseconds since 1970, on the one clock that decides.
type Stamp int64

// StampOf returns t as a Stamp, rounded down.
func StampOf(t time.Time) Stamp { return Stamp(t.UnixMicro()) }

// Time returns the stamp as a time in UTC.
func (s Stamp) Time() time.Time { return time.UnixMicro(int64(s)).UTC() }

func (s Stamp) plus(d time.Duration) Stamp { return s + Stamp(d.Microseconds()) }

// Admissions is the list of admission times of one key or workspace, oldest first: the state that all windows of a limit share.
// The zero value is empty. It is not safe for concurrent use.
type Admissions struct {
	stamps []Stamp // from first on; what is before is forgotten
	first  int
}

func (a *Admissions) kept() []Stamp { return a.stamps[a.first:] }

// Quota is one list of admissions with the limit that rules it.
type Quota struct {
	Admissions *Admissions
	Limit      *Limit
}

// Grant is the answer to [Take].
type Grant struct {
	// Granted is how many of the permits asked for were given, the first ones.
	Granted int
	// Quota is the index of the quota that the following fields speak of, that of the window closest to its end; -1 when no limit applies.
	// Closest is the window with the fewest permits left, and of several the one that frees the next permit last.
	Quota  int
	Window Window
	// Remaining permits of Window after this grant.
	Remaining int
	// Reset is when Remaining next grows: whoever was refused now and asks then is admitted, if nobody was faster. For a window of 0 permits it is one length from now.
	Reset Stamp
}

// Take asks all windows of all quotas for n permits at now and takes as many as all of them have, from all of them. A refusal changes nothing.
// A clock that steps back admits nothing early: a stamp is never older than its predecessor. If it steps back by more than the longest window, what was admitted counts as admitted now.
// A window longer than those before counts what they left: admissions that were dead in all windows when another was admitted are forgotten.
func Take(now Stamp, n int, quotas ...Quota) Grant {
	grant := Grant{Granted: n, Quota: -1}
	for _, q := range quotas {
		q.Admissions.forgetFuture(now, q.Limit)
		for _, w := range q.Limit.Windows() {
			live, _ := q.Admissions.live(now, w)
			grant.Granted = min(grant.Granted, w.Permits-live)
		}
	}
	for i, q := range quotas {
		for _, w := range q.Limit.Windows() {
			live, oldest := q.Admissions.live(now, w)
			left := w.Permits - live - grant.Granted
			reset := oldest.plus(w.Length)
			if grant.Quota < 0 || left < grant.Remaining || (left == grant.Remaining && reset > grant.Reset) {
				grant.Quota, grant.Window, grant.Remaining, grant.Reset = i, w, left, reset
			}
		}
	}
	if grant.Granted > 0 {
		for _, q := range quotas {
			q.Admissions.add(now, grant.Granted, q.Limit)
		}
	}
	return grant
}

// live counts the admissions that window w still holds, at most its permits, and returns the oldest of them, or what the next one's stamp would be.
func (a *Admissions) live(now Stamp, w Window) (int, Stamp) {
	kept := a.kept()
	if len(kept) == 0 || w.Permits == 0 {
		return 0, now
	}
	recent := kept[max(0, len(kept)-w.Permits):]
	first := firstAfter(recent, now.plus(-w.Length))
	if first == len(recent) {
		return 0, now
	}
	return len(recent) - first, recent[first]
}

// add enters n admissions at now, and forgets those that are dead even in the longest window.
func (a *Admissions) add(now Stamp, n int, limit *Limit) {
	if limit.count == 0 {
		return
	}
	stamp := now
	if kept := a.kept(); len(kept) > 0 {
		stamp = max(now, kept[len(kept)-1])
		a.first += firstAfter(kept, now.plus(-limit.Longest()))
	}
	a.makeRoom(n)
	for range n {
		a.stamps = append(a.stamps, stamp)
	}
}

// shortList is a list's length in stamps (8 kB) up to which its memory is kept when all of them are dead.
const shortList = 1024

// makeRoom moves what is kept to the front, if that spares a larger list: at most one stamp is moved for each that was forgotten.
func (a *Admissions) makeRoom(n int) {
	switch {
	case a.first == len(a.stamps) && cap(a.stamps) > shortList:
		a.stamps, a.first = nil, 0
	case len(a.stamps)+n > cap(a.stamps) && a.first*2 >= len(a.stamps):
		a.stamps, a.first = a.stamps[:copy(a.stamps, a.kept())], 0
	}
}

// forgetFuture turns stamps that lie ahead into now, if the newest lies more than the longest window ahead: the clock was put back, and nobody shall wait until it has caught up.
func (a *Admissions) forgetFuture(now Stamp, limit *Limit) {
	kept := a.kept()
	if len(kept) == 0 || limit.count == 0 || kept[len(kept)-1] <= now.plus(limit.Longest()) {
		return
	}
	for i := range kept {
		kept[i] = min(kept[i], now)
	}
}

// firstAfter returns the index of the first stamp after cut.
func firstAfter(stamps []Stamp, cut Stamp) int {
	return sort.Search(len(stamps), func(i int) bool { return stamps[i] > cut })
}
