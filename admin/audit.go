package admin

import (
	"fmt"
	"net"
	"net/http"
	"time"

	"tpgate/store"
)

// AuditEntry is one line of the audit trail as the API shows it.
type AuditEntry struct {
	ID        string  `json:"id"`
	Time      *string `json:"time"`
	Actor     string  `json:"actor"`
	Action    string  `json:"action"`
	Workspace *string `json:"workspace_id"`
	KeyID     *string `json:"key_id"`
	Address   string  `json:"address"`
}

// record writes to the audit trail that the caller is about to do something to r.id. It must succeed before the thing is done: what cannot be recorded does not happen.
func (a *API) record(r *request, action string) error {
	entry := store.Entry{Time: time.Now().UTC(), Actor: r.caller.name, Action: action, Workspace: r.workspace, KeyID: r.id, Address: address(r.Request)}
	if err := a.config.Store.Record(r.Context(), entry); err != nil {
		return fmt.Errorf("writing the audit trail: %w", err)
	}
	return nil
}

// address is where a request came from, without the port.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// listAudit returns a page of the audit trail. A token of one workspace sees the entries of that.
func (a *API) listAudit(r *request) (reply, error) {
	p, err := a.readPage(r)
	if err != nil {
		return reply{}, err
	}
	list := []AuditEntry{}
	last, before := "", p.after
	for {
		entries, err := a.config.Store.Entries(r.Context(), before, maxPage)
		if err != nil {
			return reply{}, err
		}
		for i := range entries {
			e := &entries[i]
			if r.caller.workspace != "" && e.Workspace != r.caller.workspace {
				continue
			}
			if len(list) == p.limit {
				return reply{http.StatusOK, list, a.nextPage(r, p, last)}, nil
			}
			list, last = append(list, auditOf(e)), e.ID
		}
		if len(entries) < maxPage {
			return reply{http.StatusOK, list, ""}, nil
		}
		before = entries[len(entries)-1].ID
	}
}

func auditOf(e *store.Entry) AuditEntry {
	orNull := func(text string) *string {
		if text == "" {
			return nil
		}
		return &text
	}
	return AuditEntry{ID: e.ID, Time: timeText(e.Time), Actor: e.Actor, Action: e.Action, Workspace: orNull(e.Workspace), KeyID: orNull(e.KeyID), Address: e.Address}
}
