/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "watchdogd/base/credentials.h"
#include "watchdogd/base/share_url.h"

static char path[] = "/tmp/mqw-credentials-XXXXXX";
static struct mqw_credentials c;

static int read_text(const char *text, mode_t mode, char why[200])
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	struct mqw_buffer b = {0};
	int r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (int)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	r = mqw_credentials_read(path, &c, &b);
	snprintf(why, 200, "%s", mqw_buffer_str(&b));
	mqw_buffer_done(&b);
	return r;
}

static void test_good(void **state)
{
	char why[200];

	(void)state;
	assert_int_equal(read_text("# of the lab\nusername = watchdog\n"
				   "password =  a b=c \r\n\ndomain=LAB\n",
				 0640, why),
		0);
	assert_string_equal(c.user, "watchdog");
	assert_string_equal(c.password, "a b=c ");
	assert_string_equal(c.domain, "LAB");
	/* Without a newline at its end, and without a domain. */
	assert_int_equal(read_text("Username=u\nPASSWORD=p", 0400, why), 0);
	assert_string_equal(c.user, "u");
	assert_string_equal(c.domain, "");
	mqw_credentials_done(&c);
	assert_string_equal(c.password, "");
}

static void test_faults(void **state)
{
	char why[200], longest[400];

	(void)state;
	assert_int_equal(read_text("username=u\npassword=secret\n", 0644, why), -EPERM);
	assert_non_null(strstr(why, "its mode is 0644"));
	assert_string_equal(c.password, "");
	assert_int_equal(read_text("username=u\npassword=secret\n", 0660, why), -EPERM);
	assert_int_equal(read_text("username=u\n", 0600, why), -EBADMSG);
	assert_string_equal(why, "it has no password =");
	assert_int_equal(read_text("password=secret\n", 0600, why), -EBADMSG);
	assert_string_equal(why, "it has no username =");
	assert_int_equal(read_text("username=u\nsecret\n", 0600, why), -EBADMSG);
	assert_non_null(strstr(why, "line 2 "));
	assert_null(strstr(why, "secret"));
	memset(longest, 'x', sizeof(longest));
	memcpy(longest, "username=", 9);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(read_text(longest, 0600, why), -EBADMSG);
	assert_int_equal(read_text("", 0600, why), -EBADMSG);
}

static void test_no_file(void **state)
{
	struct mqw_buffer why = {0};

	(void)state;
	assert_int_equal(mqw_credentials_read("/nonexistent", &c, &why), -ENOENT);
	assert_string_equal(mqw_buffer_str(&why), "No such file or directory");
	mqw_buffer_clear(&why);
	assert_int_equal(mqw_credentials_read("/tmp", &c, &why), -EPERM);
	assert_string_equal(mqw_buffer_str(&why), "it is not a regular file");
	mqw_buffer_done(&why);
}

static void test_path(void **state)
{
	struct mqw_buffer b = {0};

	(void)state;
	assert_true(mqw_credentials_path("/etc/x", &b));
	assert_string_equal(mqw_buffer_str(&b), "/etc/x");
	mqw_buffer_clear(&b);
	setenv("CREDENTIALS_DIRECTORY", "/run/c", 1);
	assert_true(mqw_credentials_path("exch", &b));
	assert_string_equal(mqw_buffer_str(&b), "/run/c/exch");
	unsetenv("CREDENTIALS_DIRECTORY");
	mqw_buffer_done(&b);
}

static void assert_url(const char *text, const char *host, const char *folder, const char *name)
{
	struct mqw_share_url u;

	assert_null(mqw_share_url_parse(mqw_slice_of(text), &u));
	assert_true(mqw_slice_eq(u.host, mqw_slice_of(host)));
	assert_true(mqw_slice_eq(u.folder, mqw_slice_of(folder)));
	assert_true(mqw_slice_eq(u.name, mqw_slice_of(name)));
}

static void test_url(void **state)
{
	static const char *const bad[] = {"smb://", "smb://h", "smb://h/", "smb://h/s", "smb://h//",
		"smb://u:p@h/s/", "smb://h:445/s/", "smb://h/s/*/x.log", "smb://h/s\\x/", "/s/",
		"smb://-h/s/", "smb://h/s/a\nb"};
	struct mqw_share_url u;

	(void)state;
	assert_url("smb://exch1/tracking/", "exch1", "smb://exch1/tracking/", "");
	assert_url("smb://192.0.2.1/EXCH1.log/*.log", "192.0.2.1", "smb://192.0.2.1/EXCH1.log/",
		"*.log");
	assert_url("smb://exch1.example.com/c$/Program Files/Exchsrvr/x.log", "exch1.example.com",
		"smb://exch1.example.com/c$/Program Files/Exchsrvr/", "x.log");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!mqw_share_url_parse(mqw_slice_of(bad[i]), &u))
			fail_msg("taken: %s", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_url),
	};
	int fd = mkstemp(path), r;

	if (fd < 0)
		return 1;
	close(fd);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return r;
}
