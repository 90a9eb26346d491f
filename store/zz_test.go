package store_test

import (
	"errors"
	"os"
	"runtime/pprof"
	"slices"
	"testing"
	"time"
	"unsafe"

	"tpgate/store"
)

func TestZZ(t *testing.T) {
	dir := "/tmp/zzdir"
	t.Log(unsafe.Sizeof(store.Key{}))
	if _, err := os.Stat(dir); err != nil {
		s := openEmbedded(t, dir)
		for chunk := range slices.Chunk(rows(300_000, func(int) string { return "acme" }), 1000) {
			if err := errors.Join(s.Import(t.Context(), chunk)...); err != nil {
				t.Fatal(err)
			}
		}
		closeEmbedded(t, s)
	}
	f, _ := os.Create("/tmp/zz.cpu")
	_ = pprof.StartCPUProfile(f)
	start := time.Now()
	s := openEmbedded(t, dir)
	t.Log(time.Since(start))
	pprof.StopCPUProfile()
	f.Close()
	f, _ = os.Create("/tmp/zz.mem")
	heap()
	_ = pprof.WriteHeapProfile(f)
	f.Close()
	closeEmbedded(t, s)
}
