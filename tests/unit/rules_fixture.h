/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules out of a configuration that is sound but for them. */
#ifndef MQW_TESTS_UNIT_RULES_FIXTURE_H
#define MQW_TESTS_UNIT_RULES_FIXTURE_H

#include "rules/rule.h"

/* Rules begin at line 7. */
#define HEAD                                                                                       \
	"version: 1\n"                                                                             \
	"instances:\n"                                                                             \
	"  - {name: out, type: postfix}\n"                                                         \
	"  - {name: in, type: exim}\n"                                                             \
	"alerts: {ops: {journal: true}}\n"                                                         \
	"rules:\n"

struct loaded {
	struct mqw_config *config;
	struct mqw_rules *rules;
};

static inline struct loaded load(const char *text)
{
	struct loaded l = {0};
	struct mqw_diag d = {0};

	assert_int_equal(mqw_config_parse(mqw_slice_of(text), "f", &l.config, &d), 0);
	assert_int_equal(mqw_rules_load(l.config, &l.rules, &d), 0);
	assert_string_equal(mqw_buffer_str(&d.text), "");
	mqw_diag_done(&d);
	return l;
}

static inline void done(struct loaded *l)
{
	mqw_rules_free(l->rules);
	mqw_config_free(l->config);
}

#endif
