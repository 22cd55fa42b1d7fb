# Read by a fish that is a job (jobs/shells): gives XDG_DATA_DIRS back, and has each command's
# beginning and exit code told.
if set -q MCP_BG_XDG_DATA_DIRS
    set -gx XDG_DATA_DIRS $MCP_BG_XDG_DATA_DIRS
    set -e MCP_BG_XDG_DATA_DIRS
else
    set -e XDG_DATA_DIRS
end
if status is-interactive
    function __mcp_bg_command --on-event fish_preexec
        printf '\e]133;C\e\\'
    end
    function __mcp_bg_exit_code --on-event fish_postexec
        printf '\e]133;D;%s\e\\' $status
    end
end
