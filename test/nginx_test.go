package test

import "testing"

// TestNginxSecondInstance has a dead instance beside the living one, which nginx asks first every other time: $upstream_status is then a list, "502, 429".
func TestNginxSecondInstance(t *testing.T) {
	t.Parallel()
	s := newStack(t, proxies[0])
	at := s.addresses(freeAddress(t))
	s.proxy.launch(t, at, replacements{{"server " + at.gate + ";", "server " + freeAddress(t) + " max_fails=0; server " + at.gate + ";"}})
	limited := s.gate.mustKey(workspace, fields{"limit": "0/1m"})
	for range 4 {
		if err := s.askAt(at.web, withKey(s.good.Secret)).allowed(s.good); err != nil {
			t.Error(err)
		}
		if err := s.askAt(at.web, question{}).denied(missingKey); err != nil {
			t.Error(err)
		}
		if err := s.askAt(at.web, withKey(limited.Secret)).denied(overQuota); err != nil {
			t.Error(err)
		}
	}
}
