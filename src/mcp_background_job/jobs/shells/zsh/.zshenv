# Read first by a zsh that is a job (jobs/shells): gives ZDOTDIR back, reads the person's own file, and has each command's
# beginning and exit code told.
if [[ -n ${MCP_BG_ZDOTDIR-} ]]; then
  export ZDOTDIR=$MCP_BG_ZDOTDIR
else
  unset ZDOTDIR
fi
unset MCP_BG_ZDOTDIR
if [[ -r ${ZDOTDIR:-$HOME}/.zshenv ]]; then
  source "${ZDOTDIR:-$HOME}/.zshenv"
fi
if [[ -o interactive ]]; then
  __mcp_bg_begin() {
    emulate -L zsh
    typeset -ga precmd_functions preexec_functions
    precmd_functions=(__mcp_bg_exit_code ${precmd_functions:#__mcp_bg_exit_code})
    preexec_functions=(__mcp_bg_command ${preexec_functions:#__mcp_bg_command})
  }
  __mcp_bg_command() { builtin printf '\e]133;C\e\\' >/dev/tty }
  __mcp_bg_exit_code() { builtin printf '\e]133;D;%s\e\\' $? >/dev/tty }
  # Behind all of the person's files, which may assign the hooks anew: a timer that has run out by the first prompt.
  zmodload zsh/sched && sched +0 __mcp_bg_begin
fi
