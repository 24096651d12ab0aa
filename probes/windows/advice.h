/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Advice on the settings that govern retries, measured against the delay that the receiver demands. */
#ifndef MQW_PROBES_WINDOWS_ADVICE_H
#define MQW_PROBES_WINDOWS_ADVICE_H

#include "watchdogd/track/tracker.h"

/* Advice on a file of mailroot, of which no line of a log tells; false, and nothing, for others. */
bool mqw_advise_on_file(
	const struct mqw_message *m, const struct mqw_recipient *r, struct mqw_buffer *ret);

/* GlitchRetrySeconds of IIS and Exchange 2000 and 2003. Adds a sentence with a blank before it. */
void mqw_advise_glitch_retry(const struct mqw_recipient *r, struct mqw_buffer *ret);

/* The same of the transport service since Exchange 2007. */
void mqw_advise_transport_retry(const struct mqw_recipient *r, struct mqw_buffer *ret);

#endif
