package test

import (
	"os/exec"
	"testing"
)

// TestOpenAPI has schemathesis make up requests from the API's own description, right and wrong ones, and hold every answer to it: status, content type and schema. (Import, export and
// revocations are streams, which it does not know.)
func TestOpenAPI(t *testing.T) {
	onBothStores(t, func(t *testing.T, flags ...string) {
		t.Parallel()
		g := startGate(t, flags...)
		g.mustKey("acme", nil)
		out, err := exec.Command(find(t, "schemathesis"), "run", "http://"+g.admin+"/openapi.json",
			"--header", "Authorization: Bearer "+g.token, "--exclude-path-regex", "^/v1/(import|export|revocations)$",
			"--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance", "--phases", "examples,coverage,fuzzing", "--max-examples", "8", "--seed", "1", "--no-color").CombinedOutput()
		if err != nil {
			t.Errorf("schemathesis: %v\n%s", err, out)
		}
	})
}
