package launch

import (
	"debug/buildinfo"
	"runtime/debug"
)

// Version is what a server's binary says it was built from: the version of the named module among
// its dependencies, or, without a module, the Go version; "" if there is no such binary. A binary
// of this repository names the commit.
func (b *Binaries) Version(name, module string) string {
	info, err := buildinfo.ReadFile(b.path(name))
	if err != nil || b.problems[name] != nil {
		return ""
	}
	switch {
	case name == berth:
		return revision(info)
	case module == "":
		return info.GoVersion
	}
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return dependency.Version
		}
	}
	return ""
}

func revision(info *debug.BuildInfo) string {
	settings := map[string]string{}
	for _, setting := range info.Settings {
		settings[setting.Key] = setting.Value
	}
	commit := settings["vcs.revision"]
	if commit == "" {
		return "built without a commit"
	}
	if settings["vcs.modified"] == "true" {
		commit += " with changes"
	}
	return commit
}
