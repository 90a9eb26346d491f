package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"tpgate/store"
)

// minAdminToken is the length under which a token could be guessed.
const minAdminToken = 20

// adminToken reads the admin token, or makes one if the file is not there: "tpa_" and 48 random characters.
func adminToken(path string) (string, error) {
	token, err := readSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newAdminToken(path)
	}
	if err != nil {
		return "", fmt.Errorf("reading the admin token: %w", err)
	}
	if err := checkAdminToken(token); err != nil {
		return "", fmt.Errorf("the admin token in %s %w: delete the file to have one made", path, err)
	}
	return token, nil
}

// openToAll says that everybody on this machine can read or change a token, "" if not so. It is no reason to stop: in a container, as Kubernetes mounts Secrets, everybody is this process.
func openToAll(path string) string {
	about, err := os.Stat(path)
	if err != nil || about.Mode().Perm()&0o007 == 0 {
		return ""
	}
	return fmt.Sprintf("the admin token %s is open to everybody on this machine: chmod 600 %[1]s", path)
}

// checkAdminToken says what is wrong with a token: too short, or nothing that a header can carry.
func checkAdminToken(token string) error {
	if len(token) < minAdminToken {
		return fmt.Errorf("is shorter than %d characters", minAdminToken)
	}
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return errors.New("has characters other than visible ASCII")
		}
	}
	return nil
}

// newAdminToken makes the token. Of several instances that start at once on one directory, the first wins and the others read what it wrote.
func newAdminToken(path string) (string, error) {
	format, err := store.NewTokens("tpa_")
	if err != nil {
		return "", err
	}
	token := format.New()
	err = writePrivate(path, token+"\n", os.Link)
	if errors.Is(err, fs.ErrExist) {
		return adminToken(path)
	}
	if err != nil {
		return "", fmt.Errorf("writing the admin token: %w", err)
	}
	return token, nil
}

// writePrivate writes a file that only this user can read, whole or not at all, and makes its directory. place is os.Rename, or os.Link to keep a file that is there.
func writePrivate(path, text string, place func(from, to string) error) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, ".tpgate-") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // gone already after a rename
	_, err = file.WriteString(text)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return place(file.Name(), path)
}
