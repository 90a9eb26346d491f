package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"tpgate/store"
)

// exportKeys streams every key as a line that importKeys takes. A digest is no secret to be kept from whoever may export, but no key can be made from it either.
func (a *API) exportKeys(w http.ResponseWriter, r *request) error {
	if err := a.record(r, "keys.export"); err != nil {
		return err
	}
	control := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Content-Disposition", `attachment; filename="tpgate-keys.ndjson"`)
	out := json.NewEncoder(w)
	for workspace, after := "", ""; ; after = workspace {
		workspaces, err := a.config.Store.ListWorkspaces(r.Context(), after, defaultPage)
		if err != nil || len(workspaces) == 0 {
			return a.cutOff(err)
		}
		for _, ws := range workspaces {
			workspace = ws.ID
			if err := a.exportWorkspace(r, ws.ID, out, control); err != nil {
				return a.cutOff(err)
			}
		}
	}
}

func (a *API) exportWorkspace(r *request, workspace string, out *json.Encoder, control *http.ResponseController) error {
	var after store.Position
	for {
		_ = control.SetWriteDeadline(time.Now().Add(writeTimeout)) // it then ends at the deadline of the whole request
		keys, err := a.config.Store.ListKeys(r.Context(), workspace, after, maxPage)
		if err != nil || len(keys) == 0 {
			return err
		}
		for i := range keys {
			if err := out.Encode(exportOf(&keys[i])); err != nil {
				return err
			}
		}
		last := keys[len(keys)-1]
		after = store.Position{CreatedAt: last.CreatedAt, ID: last.ID}
	}
}

// cutOff ends a stream that has begun, so that its reader sees that it is not whole.
func (a *API) cutOff(err error) error {
	if err != nil {
		a.config.Logger.Error("export cut off", "error", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

// ExportLine is a key as export writes it and import takes it.
type ExportLine struct {
	Workspace string  `json:"workspace_id"`
	ID        string  `json:"id"`
	Name      string  `json:"name"`
	Hint      string  `json:"key_hint"`
	SHA256    string  `json:"sha256,omitempty"`
	Lookup    string  `json:"token_lookup,omitempty"`
	Hash      string  `json:"token_hash,omitempty"`
	ExpiresAt *string `json:"expires_at"`
	LastUsed  *string `json:"last_used_at"`
	CreatedAt *string `json:"created_at"`
	Limit     *string `json:"limit"`
	Disabled  bool    `json:"disabled"`
}

func exportOf(k *store.Key) ExportLine {
	line := ExportLine{
		Workspace: k.Workspace, ID: k.ID, Name: k.Name, Hint: k.Hint,
		ExpiresAt: timeText(k.ExpiresAt), LastUsed: timeText(k.LastUsedAt), CreatedAt: timeText(k.CreatedAt), Limit: limitText(k.Limit), Disabled: k.Disabled,
	}
	if k.IsLegacy() {
		line.Lookup, line.Hash = k.Legacy.Lookup, k.Legacy.Hash
	} else {
		line.SHA256 = fmt.Sprintf("%x", k.Digest)
	}
	return line
}
