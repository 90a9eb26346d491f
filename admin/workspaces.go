package admin

import (
	"net/http"

	"tpgate/store"
)

func (a *API) listWorkspaces(r *request) (reply, error) {
	p, err := a.readPage(r)
	if err != nil {
		return reply{}, err
	}
	if r.caller.workspace != "" { // sees its own, and not that there are others
		only, err := a.config.Store.Workspace(r.Context(), r.caller.workspace)
		return reply{http.StatusOK, []Workspace{workspaceOf(&only)}, ""}, err
	}
	workspaces, err := a.config.Store.ListWorkspaces(r.Context(), p.after, p.limit+1)
	if err != nil {
		return reply{}, err
	}
	out := reply{status: http.StatusOK}
	if len(workspaces) > p.limit {
		workspaces = workspaces[:p.limit]
		out.next = a.nextPage(r, p, workspaces[p.limit-1].ID)
	}
	list := make([]Workspace, len(workspaces))
	for i := range workspaces {
		list[i] = workspaceOf(&workspaces[i])
	}
	out.value = list
	return out, nil
}

func (a *API) showWorkspace(r *request) (reply, error) {
	workspace, err := a.config.Store.Workspace(r.Context(), r.workspace)
	return reply{http.StatusOK, workspaceOf(&workspace), ""}, err
}

func (a *API) updateWorkspace(r *request) (reply, error) {
	var f faults
	limit, suspended := f.limit(r.body), f.flag(r.body, "suspended")
	if err := f.problem(); err != nil {
		return reply{}, err
	}
	if err := a.record(r, "workspace.update"); err != nil {
		return reply{}, err
	}
	workspace, err := a.config.Store.UpdateWorkspace(r.Context(), r.workspace, func(w *store.Workspace) error {
		if r.body.has("limit") {
			w.Limit = limit
		}
		if r.body.has("suspended") {
			w.Suspended = suspended
		}
		return nil
	})
	if suspended {
		var ids []string
		if err == nil {
			ids = a.keysOf(r.Context(), r.workspace)
		}
		a.announce(r.Context(), err, r.workspace, ids...)
	}
	return reply{http.StatusOK, workspaceOf(&workspace), ""}, err
}
