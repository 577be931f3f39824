"""One suite for all back ends: real model servers, a real model in this process, the scripted one."""
