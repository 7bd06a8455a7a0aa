package plan_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/bench/plan"
)

func TestEveryPresetNamesCasesAndServersThatExist(t *testing.T) {
	for _, preset := range plan.Presets() {
		t.Run(preset.Name, func(t *testing.T) {
			cases, err := plan.SelectCases(preset.Cases)
			require.NoError(t, err)
			servers, err := plan.SelectServers(preset.Servers)
			require.NoError(t, err)
			_, err = plan.SelectServers(preset.Sample)
			require.NoError(t, err)
			assert.NotEmpty(t, plan.Steps(cases, servers, preset.Rounds, preset.Sample))
		})
	}
}

func TestEveryCaseHasItsBaselineAmongTheServersThatTakePart(t *testing.T) {
	for _, c := range plan.Cases() {
		baseline, err := plan.SelectServers([]string{c.Baseline})
		require.NoError(t, err)
		assert.True(t, baseline[0].TakesPart(c), "%s", c.ID)
		assert.NotEmpty(t, c.Metrics, "%s", c.ID)
	}
}

func TestNoTwoCasesOrServersShareAName(t *testing.T) {
	seen := map[string]bool{}
	groups := map[string]bool{}
	for _, c := range plan.Cases() {
		assert.False(t, seen[c.ID], "%s", c.ID)
		seen[c.ID] = true
		groups[c.Group] = true
	}
	clear(seen)
	for _, s := range plan.Servers() {
		assert.False(t, seen[s.ID], "%s", s.ID)
		seen[s.ID] = true
	}
	assert.NotEmpty(t, groups)
}

func TestAGroupSelectsItsCases(t *testing.T) {
	cases, err := plan.SelectCases([]string{"scaling", "50"})
	require.NoError(t, err)
	var ids []string
	for _, c := range cases {
		ids = append(ids, c.ID)
	}
	assert.Equal(t, []string{"50", "scaling-100", "scaling-1000", "scaling-10000"}, ids)
}

func TestAnUnknownNameIsAnsweredWithTheKnownOnes(t *testing.T) {
	_, err := plan.SelectCases([]string{"50", "60"})
	assert.ErrorContains(t, err, `there is no case "60": choose among 1, 50, 1000`)
	_, err = plan.SelectServers([]string{"redis"})
	assert.ErrorContains(t, err, `there is no server "redis": choose among gonet`)
}

func TestARoundMeasuresACaseOnAllServersBeforeTheNextCase(t *testing.T) {
	cases, servers := choose(t, []string{"1", "50"}, []string{"gonet", "gnet", "evio"})
	assert.Equal(t, []string{
		"1 1 gonet", "1 1 gnet", "1 1 evio", "1 50 gonet", "1 50 gnet", "1 50 evio",
		"2 1 gnet", "2 1 evio", "2 1 gonet", "2 50 gnet", "2 50 evio", "2 50 gonet",
	}, described(plan.Steps(cases, servers, 2, nil)))
}

func TestStepsLeaveOutWhatDoesNotApply(t *testing.T) {
	cases, servers := choose(t, []string{"50", "blocking"}, []string{"gonet", "gonet-64k", "cepoll"})
	assert.Equal(t, []string{"1 50 gonet", "1 50 cepoll", "1 blocking gonet"},
		described(plan.Steps(cases, servers, 1, nil)), "the 64 KiB buffer is for bulk, and the C server cannot sleep")
}

func TestACaseCanEndItsRoundsEarly(t *testing.T) {
	cases, servers := choose(t, []string{"50", "stalled"}, []string{"gonet"})
	assert.Len(t, plan.Steps(cases, servers, 5, nil), 5+3)
}

func TestASampleIsMeasuredInAllCasesButTheFirst(t *testing.T) {
	cases, servers := choose(t, []string{"50", "churn"}, []string{"gonet", "gnet"})
	assert.Equal(t, []string{"1 50 gonet", "1 50 gnet", "1 churn gonet"},
		described(plan.Steps(cases, servers, 1, []string{"gonet"})))
}

func choose(t *testing.T, caseNames, serverNames []string) ([]plan.Case, []plan.Server) {
	t.Helper()
	cases, err := plan.SelectCases(caseNames)
	require.NoError(t, err)
	servers, err := plan.SelectServers(serverNames)
	require.NoError(t, err)
	return cases, servers
}

func described(steps []plan.Step) []string {
	var all []string
	for _, s := range steps {
		all = append(all, string(rune('0'+s.Round))+" "+s.Case.ID+" "+s.Server.ID)
	}
	return all
}
