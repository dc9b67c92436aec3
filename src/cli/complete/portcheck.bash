# Completions of portcheck for bash. They ask portcheck what is there.
_portcheck() {
    local word
    COMPREPLY=()
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        # What follows is a command with files.
        [[ $word != -- ]] || { compopt -o default; return; }
    done
    while IFS= read -r word; do
        COMPREPLY+=("$word")
    done < <(PORTCHECK_COMPLETE=bash PORTCHECK_COMPLETE_TYPE=$COMP_TYPE \
        portcheck -- "${COMP_WORDS[@]:0:COMP_CWORD}" "$2" 2>/dev/null)
}
complete -o nosort -F _portcheck portcheck 2>/dev/null || complete -F _portcheck portcheck
