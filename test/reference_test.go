package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReference holds the README's table of flags to what `tpgate serve --help` says, flag by flag, default and meaning included.
func TestReference(t *testing.T) {
	help, err := exec.Command(binary, "serve", "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(root(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	flags := regexp.MustCompile(`(?m)^  --(\S+)(?: \(default (.*)\))?\n      (.*)$`).FindAllStringSubmatch(string(help), -1)
	if len(flags) == 0 {
		t.Fatal("serve --help names no flags")
	}
	for _, f := range flags {
		value := "–"
		if f[2] != "" {
			value = "`" + f[2] + "`"
		}
		row := "| `--" + f[1] + "` | " + value + " | " + strings.ReplaceAll(f[3], "|", `\|`) + " |"
		if !strings.Contains(string(readme), row+"\n") {
			t.Errorf("README.md lacks the row\n%s", row)
		}
	}
	if rows := strings.Count(string(readme), "\n| `--"); rows != len(flags) {
		t.Errorf("README.md has %d flags, serve --help %d", rows, len(flags))
	}
}
