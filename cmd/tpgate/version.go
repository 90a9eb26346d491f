package main

import (
	"runtime/debug"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// version is the module's version, which has the commit in it when Go knows it, and otherwise the commit as far as the build says.
func version() string {
	about, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	i := slices.IndexFunc(about.Settings, func(s debug.BuildSetting) bool { return s.Key == "vcs.revision" })
	if about.Main.Version != "(devel)" || i < 0 {
		return about.Main.Version
	}
	return about.Main.Version + " " + about.Settings[i].Value
}

func buildInfo() prometheus.Collector {
	about, _ := debug.ReadBuildInfo()
	goVersion := ""
	if about != nil {
		goVersion = about.GoVersion
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "tpgate_build_info", Help: "1; which build this is.",
		ConstLabels: prometheus.Labels{"version": version(), "goversion": goVersion},
	})
	info.Set(1)
	return info
}
