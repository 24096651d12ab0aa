/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the world share: world.c, mta.c and host.c. */
#ifndef MQW_TESTS_CRASH_WORLD_H
#define MQW_TESTS_CRASH_WORLD_H

#include "tests/crash/crash.h"

/* world.c */

/* A path in the place of this life, which is returned. */
__attribute__((format(printf, 2, 3))) char *path_of(char ret[PATH_ROOM], const char *format, ...);
/* Ends the test with errno's text when the world cannot be made as it has to be. */
void check(bool good, const char *what);

/* mta.c */

/* Makes a step. Whether the daemon can know of it without a look. */
bool mta_play(const struct step *s);
/* Takes up what is in maildrop; whether there was anything. */
bool mta_pick_up(void);
/* Delivers a message that was put back, and removes it. */
void mta_deliver_again(struct again *a);

/* host.c */

/* Listens for requests to the helper, in the place of this life. */
void host_listen(void);
/* Runs a helper for each request that waits. */
void host_serve(void);

#endif
